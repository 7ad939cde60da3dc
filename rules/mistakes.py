"""What a configuration of the right types may still have wrong: one line a mistake."""

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import combinations
from typing import Any

from entries import (
    as_argument,
    chunked,
    features_of,
    files_of,
    initial_models,
    options_of,
    split_member,
)
from plugins import PluginError, fits, parted, plugins_of, signature

from segment_em.class_lists import read_class_list, read_vocabulary
from segment_em.errors import InputError
from segment_em.options import holds
from segment_em.simulation.settings import RATED_FRAMES, Settings
from segment_em.terms import SPLITS

TRAINING_KEYS = ("learning_rate", "batch", "video_loss")
# Of a relative path.
WHERE_PATHS_BEGIN = " (from the folder of the run on)"
# What the challenge's server took.
MOST_SUBMITTED = 100_000
CLASS_LISTS = {"segment_classes": read_class_list, "vocabulary": read_vocabulary}
# Linux gives a command 2 MiB of arguments, the environment included, and an index job names all its
# files, each with a pointer of 8 bytes.
COMMAND_BYTES = 1_500_000


def mistakes_of(config: Mapping[str, Any]) -> Iterator[str]:
    """A line for each mistake, with key, value and what is allowed."""
    yield from _model_mistakes(config)
    yield from _em_mistakes(config)
    yield from _data_mistakes(config)
    yield from _new_video_mistakes(config)
    yield from _pooling_mistakes(config)
    yield from _training_mistakes(config)
    yield from _evaluation_mistakes(config)
    yield from _compute_mistakes(config)


def _model_mistakes(config: Mapping[str, Any]) -> Iterator[str]:
    for name in used_models(config):
        model = config["models"].get(name)
        if model is None:
            yield no_such(f"em names the model '{name}'", name, config["models"])
            continue
        where = f"models.{name}"
        wanted = signature(f"models/{model['architecture']}.py", "Model.__init__")
        if wanted is None:
            available = plugins_of("models")
            yield no_such(
                f"{where}.architecture: '{model['architecture']}'", model["architecture"], available
            )
            continue
        given = options_of(model)
        if "fusion" not in wanted:
            yield f"{where}: Model of models/{model['architecture']}.py has to take fusion"
            continue
        for key in given.keys() - wanted.keys():
            if key in TRAINING_KEYS:
                yield f"{where}.{key}: it belongs under {where}.training"
            else:
                yield unknown_key(f"{where}.{key}", key, list(wanted))
        for key in wanted.keys() - given.keys():
            yield f"{where}: option '{key}' ({parted(wanted[key])[0]}) is missing"
        yield from _option_mistakes(where, given, wanted)


def _option_mistakes(
    where: str, given: Mapping[str, Any], wanted: Mapping[str, str]
) -> Iterator[str]:
    """What is wrong with a model's options, by the annotations of its file."""
    annotated = {key: parted(wanted[key]) for key in sorted(given.keys() & wanted.keys())}
    unfit = [key for key, (kind, _) in annotated.items() if not fits(given[key], kind)]
    for key in unfit:
        yield f"{where}.{key}: {given[key]!r} is not {annotated[key][0]}"
    if unfit or annotated.keys() != wanted.keys():
        return  # a rule may name another option
    for key, (_, rules) in annotated.items():
        for rule in rules:
            if not holds(rule, given[key], given):
                yield f"{where}.{key}: {given[key]!r} is not {rule}"


def used_models(config: Mapping[str, Any]) -> list[str]:
    """The models that the process trains, each once."""
    names = [split_member(m)[0] for members in config["em"]["iterations"] for m in members]
    return list(dict.fromkeys([*initial_models(config["em"]), *names]))


def _em_mistakes(config: Mapping[str, Any]) -> Iterator[str]:
    em = config["em"]
    for number, members in enumerate(em["iterations"], 1):
        for member in members:
            estimation = split_member(member)[1]
            if estimation not in plugins_of("estimators"):
                yield no_such(
                    f"em.iterations: iteration {number}: '{member}' (written model@estimation) "
                    f"names the estimation '{estimation}'",
                    estimation,
                    plugins_of("estimators"),
                )
            else:
                signature(f"estimators/{estimation}.py", "keep")
    rule = em["threshold"]["rule"]
    wanted = signature(f"thresholds/{rule}.py", "thresholds")
    if wanted is None:
        yield no_such(f"em.threshold.rule: '{rule}'", rule, plugins_of("thresholds"))
        return
    given = {key: value for key, value in em["threshold"].items() if key != "rule"}
    for key in wanted.keys() - given.keys():
        yield f"em.threshold: rule {rule} needs the key '{key}'"
    yield from _option_mistakes("em.threshold", given, wanted)
    yield from _options_of_no_rule(given.keys() - wanted.keys())
    delta = em["threshold"].get("delta")
    if "delta" in wanted and delta is not None and delta < em["keep"]["floor"]:
        yield (
            f"em.threshold.delta: {delta} is below em.keep.floor ({em['keep']['floor']}), under "
            "which no scores are stored; lower the floor or raise delta"
        )
    if rule == "fixed" and delta == 1:
        yield (
            "em.threshold.delta: no score is above 1, so that rule fixed would label nothing; "
            "lower it"
        )


def _options_of_no_rule(keys: Set[str]) -> Iterator[str]:
    """Options of another rule than the one in use may stand: an overlay cannot remove them."""
    if keys:
        known = sorted({option for name in plugins_of("thresholds") for option in _options(name)})
        for key in keys - set(known):
            yield unknown_key(f"em.threshold.{key}", key, ["rule", *known])


def _options(rule: str) -> Iterable[str]:
    """What a threshold rule takes; of one that is half written and not in use, nothing is known."""
    try:
        return signature(f"thresholds/{rule}.py", "thresholds")
    except PluginError:
        return ()


def _data_mistakes(config: Mapping[str, Any]) -> Iterator[str]:
    data = config["data"]
    if data["max_frames"] % data["segment_frames"]:
        yield (
            f"data.max_frames: {data['max_frames']} is not a multiple of data.segment_frames "
            f"({data['segment_frames']})"
        )
    if data["segment_frames"] != RATED_FRAMES and not any(split in data for split in SPLITS):
        yield (
            f"data.segment_frames: {data['segment_frames']}; simulated records are rated every "
            f"{RATED_FRAMES} frames"
        )
    late = [n for n in config["ensemble"]["shifts"] if n >= data["segment_frames"]]
    if late:
        yield (
            f"ensemble.shifts: {late[0]} is not below data.segment_frames "
            f"({data['segment_frames']}); the grid repeats itself there"
        )
    if not features_of(config):
        yield "data.features: no modality is left; give at least one its width"
    given = [split for split in SPLITS if split in data]
    if given:
        yield from _file_mistakes(data, {split: files_of(data[split]) for split in given})
    elif "simulation" not in data:
        yield "data: give train, segments, test and segment_classes, or simulation"
    else:
        for key in filter(data.__contains__, CLASS_LISTS):
            yield (
                f"data.{key}: given without train, segments and test, so that records would be "
                "simulated; name their files, or remove it"
            )
        yield from _chunk_mistakes(data["chunks"], data["simulation"]["files"])
        if features_of(config):
            yield from _simulation_mistakes(config)


def _simulation_mistakes(config: Mapping[str, Any]) -> Iterator[str]:
    entries = {k: v for k, v in config["data"]["simulation"].items() if k != "files"}
    try:
        Settings(features=dict(features_of(config)), **entries)
    except InputError as error:
        yield str(error).removeprefix("config ")


def _file_mistakes(data: Mapping[str, Any], files: Mapping[str, list[str]]) -> Iterator[str]:
    wanted = (*SPLITS, "segment_classes")
    for key in wanted:
        if key not in data:
            yield f"data.{key}: missing; without simulation {', '.join(wanted)} are all needed" + (
                "; where there is no test set, name a file without videos" if key == "test" else ""
            )
        elif key in files and not files[key]:
            yield f"data.{key}: no file matches {data[key]!r}{WHERE_PATHS_BEGIN}"
    for key, named in {**files, **{k: [data[k]] for k in CLASS_LISTS if k in data}}.items():
        yield from _braces(f"data.{key}", named)
    real = {split: {*map(os.path.realpath, found)} for split, found in files.items()}
    for one, other in combinations(files, 2):
        shared = sorted(real[one] & real[other])
        if shared:
            yield (
                f"data.{other}: {shared[0]} is in data.{one} too ({len(shared)} such files); a "
                "video may be in one split only"
            )
    yield from _class_mistakes(data)
    yield from _chunk_mistakes(
        data["chunks"], {split: len(found) for split, found in files.items()}
    )
    for split, found in files.items():
        for files_of_chunk in chunked(found, data["chunks"]).values():
            if sum(len(os.fsencode(file)) + 9 for file in files_of_chunk) > COMMAND_BYTES:
                yield (
                    f"data.chunks: {data['chunks']} chunks give one {len(files_of_chunk)} files of "
                    f"{split}, more than a command can name; raise data.chunks"
                )
                break


def _chunk_mistakes(chunks: int, files: Mapping[str, int]) -> Iterator[str]:
    # Against the files of all splits: who brings one file a split may keep the default of two.
    if all(files.values()) and sum(files.values()) < chunks:
        counts = ", ".join(f"{split} {count}" for split, count in files.items())
        yield f"data.chunks: {chunks} is above the number of files ({counts}); lower it"


def _class_mistakes(data: Mapping[str, Any]) -> Iterator[str]:
    """The two lists of classes, each as it must be, and the one within the other."""
    found = {}
    for key, read in CLASS_LISTS.items():
        if key in data:
            try:
                found[key] = read(as_argument(data[key]))
            except InputError as error:
                yield f"data.{key}: {error}"
    if len(found) == 2:
        unknown = [
            number for number in found["segment_classes"] if number not in found["vocabulary"]
        ]
        if unknown:
            yield (
                f"data.segment_classes: class {unknown[0]} of {data['segment_classes']} is not in "
                f"data.vocabulary, {data['vocabulary']} ({len(unknown)} such classes); give lists "
                "that belong together"
            )


def _pooling_mistakes(config: Mapping[str, Any]) -> Iterator[str]:
    models = {name: config["models"].get(name, {}) for name in used_models(config)}
    entries = {"": config, **{f"models.{name}.": model for name, model in models.items()}}
    for where, entry in entries.items():
        name = entry.get("training", {}).get("video_loss")
        if name is not None and signature(f"poolings/{name}.py", "pool") is None:
            yield no_such(f"{where}training.video_loss: '{name}'", name, plugins_of("poolings"))


def _training_mistakes(config: Mapping[str, Any]) -> Iterator[str]:
    for stage in ("pretrain", "m_step", "finetune"):
        plan = config["training"][stage]
        if plan["average_epochs"] > plan["epochs"]:
            yield (
                f"training.{stage}.average_epochs: {plan['average_epochs']} is above the "
                f"{plan['epochs']} epochs there are"
            )


def _evaluation_mistakes(config: Mapping[str, Any]) -> Iterator[str]:
    evaluation = config["evaluation"]
    if evaluation["submission"] and evaluation["top_segments"] > MOST_SUBMITTED:
        yield (
            f"evaluation.top_segments: {evaluation['top_segments']}, and a submission has at most "
            f"{MOST_SUBMITTED} a class; lower it, or set evaluation.submission: false"
        )


def _compute_mistakes(config: Mapping[str, Any]) -> Iterator[str]:
    compute = config["compute"]
    if compute["compile"] and compute["gpu"] > 1:
        yield (
            f"compute.compile: works with one GPU per job, and compute.gpu is {compute['gpu']}; "
            "set compile: false or gpu: 1"
        )


def _new_video_mistakes(config: Mapping[str, Any]) -> Iterator[str]:
    records = config.get("localise", {}).get("records")
    if records is None:
        return
    found = files_of(records)
    if not found:
        yield f"localise.records: no file matches {records!r}{WHERE_PATHS_BEGIN}"
    yield from _braces("localise.records", found)


def _braces(key: str, files: list[str]) -> Iterator[str]:
    braced = [file for file in files if "{" in file or "}" in file]
    if braced:
        yield f"{key}: {braced[0]!r}: Snakemake takes braces for wildcards; rename it"


def unknown_key(where: str, key: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(str(key), known, n=1, cutoff=0.4)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else ""
    return f"{where}: unknown key{hint} (allowed: {', '.join(known)})"


def no_such(where: str, name: str, known: Any) -> str:
    nearest = difflib.get_close_matches(name, list(known), n=1)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else ""
    return f"{where}, which does not exist{hint} (there are: {', '.join(known)})"
