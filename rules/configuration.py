"""The configuration: brought to the schema's types, checked whole, one line a mistake.

Everything here runs at each start of Snakemake, so nothing heavy is imported: the options of a
model or a threshold rule are read from the signature in its file.
"""

import ast
import difflib
import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from functools import cache
from glob import glob
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from segment_em.class_lists import read_class_list, read_vocabulary
from segment_em.errors import InputError
from segment_em.options import keeps
from segment_em.simulation.settings import Settings

RULES = Path(__file__).parent
LIBRARY = RULES.parent / "workflow_scripts" / "segment_em"
SPLITS = ("train", "segments", "test")
CLASS_LISTS = {"segment_classes": read_class_list, "vocabulary": read_vocabulary}
# The shell takes no longer command than 128 KiB, and an index job names all its files.
FILES_A_CHUNK = 1000


class ConfigError(ValueError):
    """A mistake in the configuration: one line for each, with key, value and what is allowed."""


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with the schema's types and all checks passed. Raises ConfigError.

    Numbers that arrive as text (nested --config values, 1e-3 in YAML 1.1) become numbers, so that
    equal settings are equal in every job's parameters.
    """
    schema = _schema()
    validator = Draft202012Validator(schema)
    typed = _typed(config, schema, schema)
    mistakes = [_mistake(error) for error in validator.iter_errors(typed)]
    mistakes += _not_finite(typed)
    if not mistakes:
        typed["models"] = {name: _typed_model(name, m) for name, m in typed["models"].items()}
        mistakes = [*_model_mistakes(typed), *_em_mistakes(typed), *_data_mistakes(typed)]
        mistakes += [*_new_video_mistakes(typed), *_training_mistakes(typed)]
        mistakes += _compute_mistakes(typed)
    if mistakes:
        raise ConfigError("\n".join(f"config: {mistake}" for mistake in mistakes))
    return typed


@cache
def _schema() -> dict[str, Any]:
    return yaml.safe_load((RULES / "config.schema.yaml").read_text(encoding="utf-8"))


def features_of(config: Mapping[str, Any]) -> list[list[Any]]:
    """[modality, width] pairs in the order of the configuration; null removes an inherited one."""
    return [[name, width] for name, width in config["data"]["features"].items() if width]


def options_of(model: Mapping[str, Any]) -> dict[str, Any]:
    """What a model's entry hands to its architecture: all but the workflow's own keys."""
    return {key: value for key, value in model.items() if key not in ("architecture", "training")}


def threshold_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The threshold rule with the options that it takes, without those of other rules."""
    threshold = config["em"]["threshold"]
    wanted = _signature(f"thresholds/{threshold['rule']}.py", "thresholds")
    return {"rule": threshold["rule"]} | {key: threshold[key] for key in wanted}


def initial_models(em: Mapping[str, Any]) -> list[str]:
    """The models of iteration 0, of which the best estimates first."""
    return [em["initial"]] if isinstance(em["initial"], str) else list(em["initial"])


def split_member(member: str) -> tuple[str, str]:
    """model@estimation -> (model, estimation)."""
    model, _, estimation = member.partition("@")
    return model, estimation


def chunked(files: list[str], chunks: int) -> dict[str, list[str]]:
    """{chunk: its files}: by a hash of the file's name, so that adding a file moves no other.

    Chunks without files do not appear.
    """
    found: dict[str, list[str]] = {}
    for file in sorted(files):
        number = int.from_bytes(hashlib.sha256(Path(file).name.encode()).digest()[:8]) % chunks
        found.setdefault(f"{number:03d}", []).append(file)
    return dict(sorted(found.items()))


def files_of(entry: str | list[str]) -> list[str]:
    """The files that a glob, or a list of files and globs, names; sorted, each once."""
    patterns = [entry] if isinstance(entry, str) else entry
    found = {file for pattern in patterns for file in _matches(pattern)}
    return sorted(map(as_argument, found))


def as_argument(file: str) -> str:
    """The path in a form that no job takes for an option."""
    return os.path.abspath(file) if file.startswith("-") else file


def _matches(pattern: str) -> list[str]:
    """A file of just this name, or what the glob matches."""
    return [pattern] if os.path.isfile(pattern) else glob(pattern, recursive=True)


# types ------------------------------------------------------------------------------------------


def _typed(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """`value` with texts read as the numbers and booleans that the schema wants."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if isinstance(value, Mapping):
        known, other = schema.get("properties", {}), schema.get("additionalProperties", {})
        other = other if isinstance(other, Mapping) else {}
        return {key: _typed(item, known.get(key, other), root) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_typed(item, schema.get("items", {}), root) for item in value]
    return _scalar(value, schema.get("type"))


def _scalar(value: Any, wanted: str | list[str] | None) -> Any:
    wanted = [wanted] if isinstance(wanted, str) else wanted or []
    if isinstance(value, str) and "string" not in wanted and wanted:
        value = _number(value)
    if "number" in wanted and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if "integer" in wanted and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _number(text: str) -> Any:
    try:
        return float(text) if "e" in text.lower() or "." in text else int(text)
    except ValueError:
        return yaml.safe_load(text) if text.lower() in ("true", "false", "null") else text


def _typed_model(name: str, model: Mapping[str, Any]) -> dict[str, Any]:
    """A model's entry with its options in the types that its architecture annotates."""
    wanted = {"int": "integer", "float": "number", "bool": "boolean"}
    annotated = _signature(f"models/{model['architecture']}.py", "Model.__init__") or {}
    kinds = {key: wanted.get(_parted(annotation)[0]) for key, annotation in annotated.items()}
    return {key: _scalar(value, kinds.get(key)) for key, value in model.items()}


# mistakes ---------------------------------------------------------------------------------------


def _mistake(error: Any) -> str:
    """One line for a violation of the schema: key, value, what is allowed."""
    where = ".".join(map(str, error.absolute_path)) or "the top level"
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        unknown = [key for key in error.instance if key not in known]
        return "; ".join(_unknown(_join(error.absolute_path, key), key, known) for key in unknown)
    if error.validator == "required":
        return f"{where}: {error.message.replace(' is a required property', ' is missing')}"
    if error.validator == "enum":
        return f"{where}: {error.instance!r} is not one of {', '.join(error.validator_value)}"
    if error.validator == "contains":
        return f"{where}: {error.instance!r} must hold {error.validator_value['const']}"
    if error.validator == "not":
        taken = ", ".join(error.validator_value["enum"])
        return f"{where}: {error.instance!r} is a name of the workflow's own (these are: {taken})"
    return f"{where}: {error.message}"


def _not_finite(value: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """YAML knows .nan and .inf, which no range of the schema keeps out."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{'.'.join(path)}: {value} is not a finite number"
    items = value.items() if isinstance(value, Mapping) else ()
    if isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield from _not_finite(item, (*path, str(key)))


def _join(path: Any, key: str) -> str:
    return ".".join([*map(str, path), str(key)])


def _unknown(where: str, key: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else ""
    return f"{where}: unknown key{hint} (allowed: {', '.join(known)})"


def _model_mistakes(config: Mapping[str, Any]) -> Iterator[str]:
    for name in _used_models(config):
        model = config["models"].get(name)
        if model is None:
            yield _no_such(f"em names the model '{name}'", name, config["models"])
            continue
        where = f"models.{name}"
        wanted = _signature(f"models/{model['architecture']}.py", "Model.__init__")
        if wanted is None:
            available = _plugins("models")
            yield _no_such(
                f"{where}.architecture: '{model['architecture']}'", model["architecture"], available
            )
            continue
        given = options_of(model)
        for key in given.keys() - wanted.keys():
            yield _unknown(f"{where}.{key}", key, list(wanted))
        for key in wanted.keys() - given.keys():
            yield f"{where}: option '{key}' ({_parted(wanted[key])[0]}) is missing"
        yield from _option_mistakes(where, given, wanted)


def _option_mistakes(
    where: str, given: Mapping[str, Any], wanted: Mapping[str, str]
) -> Iterator[str]:
    """What is wrong with a model's options, by the annotations of its file."""
    parted = {key: _parted(wanted[key]) for key in sorted(given.keys() & wanted.keys())}
    unfit = [key for key, (kind, _) in parted.items() if not _fits(given[key], kind)]
    for key in unfit:
        yield f"{where}.{key}: {given[key]!r} is not {parted[key][0]}"
    if unfit or parted.keys() != wanted.keys():
        return  # a rule may name another option
    for key, (_, rules) in parted.items():
        for rule in rules:
            if not keeps(rule, given[key], given):
                yield f"{where}.{key}: {given[key]!r} is not {rule}"


def _used_models(config: Mapping[str, Any]) -> list[str]:
    names = [split_member(m)[0] for members in config["em"]["iterations"] for m in members]
    return list(dict.fromkeys([*initial_models(config["em"]), *names]))


def _em_mistakes(config: Mapping[str, Any]) -> Iterator[str]:
    em = config["em"]
    for number, members in enumerate(em["iterations"], 1):
        for member in members:
            estimation = split_member(member)[1]
            if estimation not in _plugins("estimators"):
                yield _no_such(
                    f"em.iterations: iteration {number}: '{member}' (written model@estimation) "
                    f"names the estimation '{estimation}'",
                    estimation,
                    _plugins("estimators"),
                )
    rule = em["threshold"]["rule"]
    wanted = _signature(f"thresholds/{rule}.py", "thresholds")
    if wanted is None:
        yield _no_such(f"em.threshold.rule: '{rule}'", rule, _plugins("thresholds"))
        return
    for key in wanted.keys() - em["threshold"].keys():
        yield f"em.threshold: rule {rule} needs the key '{key}'"
    delta = em["threshold"].get("delta")
    if "delta" in wanted and delta is not None and delta < em["keep"]["floor"]:
        yield (
            f"em.threshold.delta: {delta} is below em.keep.floor ({em['keep']['floor']}), under "
            "which no scores are stored; lower the floor or raise delta"
        )


def _data_mistakes(config: Mapping[str, Any]) -> Iterator[str]:
    data = config["data"]
    if data["max_frames"] % data["segment_frames"]:
        yield (
            f"data.max_frames: {data['max_frames']} is not a multiple of data.segment_frames "
            f"({data['segment_frames']})"
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
        yield "data: neither train, segments and test nor simulation is given"
    else:
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
            yield f"data.{key}: missing; without simulation {', '.join(wanted)} are all needed"
        elif key in files and not files[key]:
            yield f"data.{key}: no file matches {data[key]!r}"
    for key, named in {**files, **{k: [data[k]] for k in CLASS_LISTS if k in data}}.items():
        braced = [file for file in named if "{" in file or "}" in file]
        if braced:
            yield f"data.{key}: {braced[0]!r}: Snakemake takes braces for wildcards; rename it"
    for one, other in combinations(files, 2):
        shared = sorted(
            {*map(os.path.realpath, files[one])} & {*map(os.path.realpath, files[other])}
        )
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
        largest = max(map(len, chunked(found, data["chunks"]).values()), default=0)
        if largest > FILES_A_CHUNK:
            yield (
                f"data.chunks: {data['chunks']} chunks give one {largest} files of {split}, more "
                f"than {FILES_A_CHUNK}; raise it"
            )


def _chunk_mistakes(chunks: int, files: Mapping[str, int]) -> Iterator[str]:
    # Against the files of all splits: who brings one file a split may keep the default of two.
    if all(files.values()) and sum(files.values()) < chunks:
        counts = ", ".join(f"{split} {count}" for split, count in files.items())
        yield f"data.chunks: {chunks} is above the number of files ({counts})"


def _class_mistakes(data: Mapping[str, Any]) -> Iterator[str]:
    """The two lists of classes, each as it must be, and the one within the other."""
    found = {}
    for key, read in CLASS_LISTS.items():
        if key in data:
            try:
                found[key] = read(data[key])
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


def _training_mistakes(config: Mapping[str, Any]) -> Iterator[str]:
    for stage in ("pretrain", "m_step", "finetune"):
        plan = config["training"][stage]
        if plan["average_epochs"] > plan["epochs"]:
            yield (
                f"training.{stage}.average_epochs: {plan['average_epochs']} is above the "
                f"{plan['epochs']} epochs there are"
            )


def _compute_mistakes(config: Mapping[str, Any]) -> Iterator[str]:
    compute = config["compute"]
    if compute["compile"] and compute["gpu"] > 1:
        yield (
            f"compute.compile: works with one GPU a job, and compute.gpu is {compute['gpu']}; set "
            "one of them back"
        )


def _new_video_mistakes(config: Mapping[str, Any]) -> Iterator[str]:
    records = config.get("localise", {}).get("records")
    if records is not None and not files_of(records):
        yield f"localise.records: no file matches {records!r}"


def _no_such(where: str, name: str, known: Any) -> str:
    nearest = difflib.get_close_matches(name, list(known), n=1)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else ""
    return f"{where}, which does not exist{hint} (there are: {', '.join(known)})"


# plug-ins ---------------------------------------------------------------------------------------


@cache
def _plugins(package: str) -> tuple[str, ...]:
    files = sorted((LIBRARY / package).glob("*.py"))
    return tuple(file.stem for file in files if not file.stem.startswith("_"))


@cache
def _signature(file: str, function: str) -> dict[str, str] | None:
    """{keyword-only argument: its annotation} of a function in a plug-in; None without the file."""
    path = LIBRARY / file
    if path.stem not in _plugins(path.parent.name):
        return None
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for name in function.split("."):
        node = next(n for n in body if getattr(n, "name", None) == name)
        body = node.body
    return {argument.arg: ast.unparse(argument.annotation) for argument in node.args.kwonlyargs}


def _parted(annotation: str) -> tuple[str, list[str]]:
    """Annotated[int, "at least 1"] -> int and its rules; any other annotation and no rules."""
    tree = ast.parse(annotation, mode="eval").body
    if not (isinstance(tree, ast.Subscript) and ast.unparse(tree.value) == "Annotated"):
        return annotation, []
    kind, *rules = tree.slice.elts
    return ast.unparse(kind), [ast.literal_eval(rule) for rule in rules]


def _fits(value: Any, annotation: str) -> bool:
    """Whether a value is of an annotated type: int, float, bool, str or Literal[...]."""
    if annotation.startswith("Literal["):
        return value in ast.literal_eval(annotation.removeprefix("Literal"))
    types = {"int": int, "float": float, "bool": bool, "str": str}
    return isinstance(value, types[annotation]) and (
        annotation == "bool" or not isinstance(value, bool)
    )
