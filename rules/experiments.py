"""The experiments of a run: their data, their files, and what each of their jobs depends on.

A configuration describes one experiment or, with `ablation`, many. What two of them would make
alike, one of them makes for both: `Experiment` answers where a file lies with that in mind.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from configuration import (
    SPLITS,
    ConfigError,
    as_argument,
    checked,
    chunked,
    features_of,
    files_of,
    options_of,
    split_member,
    threshold_of,
)
from snakemake.utils import update_config

from segment_em.provenance import canonical

ABLATION = "ablation"
STAGES = ("pretrained", "finetuned")
GROUPS = ["ensemble", "controls/ensemble"]


class Dataset:
    """The records of one `data.name`, and their index, whichever experiments use it."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.settings = config["data"]
        self.features = features_of(config)
        self.name = self.settings["name"]
        self.folder = f"results/data/{self.name}"
        self.simulated = not any(split in self.settings for split in SPLITS)
        self.chunks = {
            split: chunked(self.record_files(split), self.settings["chunks"]) for split in SPLITS
        }

    def record_files(self, split: str) -> list[str]:
        if not self.simulated:
            return files_of(self.settings[split])
        count = self.settings["simulation"]["files"][split]
        return [f"{self.folder}/{split}-{n:03d}.tfrecord" for n in range(count)]

    @property
    def class_list(self) -> str:
        if self.simulated:
            return f"{self.folder}/segment_label_ids.csv"
        return as_argument(self.settings["segment_classes"])

    @property
    def vocabulary(self) -> str | list[str]:
        """The names of the classes; an empty list where there are none."""
        if self.simulated:
            return f"{self.folder}/vocabulary.csv"
        return as_argument(self.settings["vocabulary"]) if "vocabulary" in self.settings else []

    @property
    def split_check(self) -> str:
        return f"results/index/{self.name}/splits.json"

    def index(self, split: str) -> list[str]:
        """The index chunks of a split."""
        return [self.index_chunk(split, chunk) for chunk in self.chunks[split]]

    def index_chunk(self, split: str, chunk: str) -> str:
        return f"results/index/{self.name}/{split}/{chunk}.h5"

    def index_settings(self) -> str:
        decisive = {key: self.settings[key] for key in ("segment_frames", "on_damage")}
        return canonical({"features": self.features, **decisive})

    def simulation_settings(self) -> str:
        """Everything that decides the simulated records; the number of files only divides them."""
        simulation = {k: v for k, v in self.settings["simulation"].items() if k != "files"}
        return canonical({"features": dict(self.features), **simulation})

    def identity(self) -> str:
        """What experiments on this data have to agree in."""
        simulation = self.simulation_settings() if self.simulated else ""
        return canonical([self.index_settings(), self.chunks, simulation])


class Experiment:
    """One run of the process, in the order of Algorithm 1.

    Files are paths; settings are the canonical text of the part of the configuration that decides
    a job. `run` is a model's folder, such as em/iteration-1/bigru@video_prior or controls/bigru.
    """

    def __init__(
        self, config: Mapping[str, Any], data: Dataset, made: dict[tuple[str, ...], str]
    ) -> None:
        """made: what the experiments before this one make, by what decides it; goes on growing.

        variation: {"data", "variation", "seed"} of an experiment of an ablation, else empty.
        """
        self.variation: dict[str, Any] = {}
        self.config, self.data, self._made = config, data, made
        self.em = config["em"]
        self.name = config["experiment"]
        self.folder = f"results/{self.name}"
        self.members = [[self.em["initial"]], *self.em["iterations"]]
        self.last = len(self.em["iterations"])
        self.controls = self._controls()
        self._located: dict[str, str] = {}

    def _controls(self) -> list[str]:
        if not (self.config["controls"] and self.last):
            return []
        return list(dict.fromkeys(split_member(member)[0] for member in self.members[self.last]))

    def _file(self, name: str, decides: Callable[[], tuple[str, Iterable[str]]]) -> str:
        """Where a file lies: here, or where an experiment before this one makes the same.

        decides: gives the settings and the input files of the job that makes it.
        """
        if name not in self._located:
            settings, inputs = decides()
            key = (name, settings, *inputs)
            self._located[name] = self._made.setdefault(key, f"{self.folder}/{name}")
        return self._located[name]

    # Who is trained ------------------------------------------------------------------------------

    def runs(self, i: int) -> list[str]:
        """The members of an iteration."""
        return [f"em/iteration-{i}/{member}" for member in self.members[i]]

    def control_runs(self) -> list[str]:
        return [f"controls/{model}" for model in self.controls]

    def all_runs(self) -> list[str]:
        members = [run for i in range(self.last + 1) for run in self.runs(i)]
        return members + self.control_runs()

    def averaged(self, group: str) -> list[str]:
        """The models of an ensemble: an iteration's members (the last's), or the controls."""
        if group == GROUPS[0]:
            return self.runs(self.last)
        return self.control_runs() if group == GROUPS[1] else self.runs(iteration_of(group))

    def standing_in(self, group: str) -> list[str]:
        """Members of earlier iterations that may take their later self's place in an ensemble."""
        if group != GROUPS[0] or self.config["ensemble"]["members"] != "any":
            return []
        names = set(self.members[self.last])
        earlier = [run for i in range(1, self.last) for run in self.runs(i)]
        return [run for run in earlier if run.rpartition("/")[2] in names]

    def may_join(self, group: str) -> list[str]:
        """All models that an ensemble may hold."""
        return [*self.averaged(group), *self.standing_in(group)]

    def groups(self) -> list[str]:
        return GROUPS if self.controls else GROUPS[:1]

    # Files ---------------------------------------------------------------------------------------

    def weights(self, run: str, stage: str) -> str:
        if stage == "finetuned":
            decides = self._of_finetuned
        else:
            decides = self._of_maximised if "@" in run else self._of_pretrained
        return self._file(f"{run}/{stage}.safetensors", lambda: decides(run))

    def _of_pretrained(self, run: str) -> tuple[str, list[str]]:
        return self.pretrain_settings(run), [*self.data.index("train"), self.data.class_list]

    def _of_maximised(self, run: str) -> tuple[str, list[str]]:
        i, estimation = iteration_of(run), split_member(run)[1]
        labels = [*self.pseudo_labels(i), self.label_set(i, estimation), *self.calibration(i)]
        return self.maximise_settings(run), [*self.data.index("train"), *labels]

    def _of_finetuned(self, run: str) -> tuple[str, list[str]]:
        pretrained = self.weights(run, "pretrained")
        return self.finetune_settings(run), [*self.data.index("segments"), pretrained]

    def scores(self, run: str, part: str) -> str:
        """validation.json or test.json of a model or an ensemble."""

        def decides() -> tuple[str, list[str]]:
            index = self.data.index("segments" if part == "validation" else "test")
            return self.evaluation_settings(part), [*index, *self._scorers(run)]

        return self._file(f"{run}/{part}.json", decides)

    def _scorers(self, run: str) -> list[str]:
        if run in GROUPS or run.endswith(f"/{GROUPS[0]}"):
            members = [self.weights(member, "finetuned") for member in self.may_join(run)]
            return [self.ensemble(run), *members]
        return [self.weights(run, stage) for stage in STAGES]

    def ratings(self, run: str, part: str) -> str:
        """validation.ratings.csv or test.ratings.csv of a model or an ensemble."""
        return self.scores(run, part).removesuffix(".json") + ".ratings.csv"

    def selected(self, i: int | str, ending: str) -> str:
        """selected.json, .safetensors or .ratings.csv: F of an iteration, and who teaches next."""

        def decides() -> tuple[str, list[str]]:
            runs = self.runs(int(i))
            inputs = [self.scores(run, "validation") for run in runs]
            inputs += [self.weights(run, "finetuned") for run in runs]
            return self.selection_settings(i), inputs + self.mean_teacher(i) + self.still_running(i)

        return self._file(f"em/iteration-{i}/selected.{ending}", decides)

    def mean_teacher(self, i: int | str) -> list[str]:
        """ensemble.json of an iteration and what validation says of it, where it may teach."""
        if self.em["teacher"] != "members" or not int(i):
            return []
        group = f"em/iteration-{i}/ensemble"
        return [
            self.ensemble(group),
            self.scores(group, "validation"),
            self.ratings(group, "validation"),
        ]

    def still_running(self, i: int | str) -> list[str]:
        """What was selected in the iteration before, where that stays a candidate."""
        if self.em["select"] != "so_far" or not int(i):
            return []
        return [self.selected(int(i) - 1, end) for end in ("json", "safetensors", "ratings.csv")]

    def teacher(self, i: int | str) -> str:
        """selected.json of the iteration before: who estimates the labels of an iteration."""
        return self.selected(int(i) - 1, "json")

    def teacher_weights(self, i: int | str) -> list[str]:
        """The weights that it may name."""
        weights = [self.selected(int(i) - 1, "safetensors")]
        if self.em["teacher"] == "members":
            weights += [self.weights(run, "finetuned") for run in self._teaching(i)]
        return weights

    def _teaching(self, i: int | str) -> list[str]:
        """The models that may be the teacher of an iteration, or among it."""
        before = range(int(i)) if self.em["select"] == "so_far" else [int(i) - 1]
        return [run for j in before for run in self.runs(j)]

    def calibration(self, i: int | str) -> list[str]:
        """calibration.json of the teacher of an iteration, where it is calibrated."""
        if self.em["calibration"] == "none":
            return []
        name = f"em/iteration-{i}/calibration.json"
        ratings = self.selected(int(i) - 1, "ratings.csv")
        return [self._file(name, lambda: (self.calibration_settings(), [ratings]))]

    def pseudo_labels(self, i: int | str) -> list[str]:
        """The E-step's chunks of an iteration."""
        return [self._pseudo_labels(i, chunk) for chunk in self.data.chunks["train"]]

    def _pseudo_labels(self, i: int | str, chunk: str) -> str:
        return self._file(
            f"em/iteration-{i}/pseudo_labels/{chunk}.h5",
            lambda: (
                self.estimation_settings(),
                [self.teacher(i), *self.teacher_weights(i), self.data.index_chunk("train", chunk)],
            ),
        )

    def label_set(self, i: int | str, estimation: str) -> str:
        """The thresholds of an estimation, and what they leave of each class."""
        return self._file(
            f"em/iteration-{i}/label_sets/{estimation}.csv",
            lambda: (
                self.threshold_settings(estimation),
                [*self.pseudo_labels(i), *self.calibration(i)],
            ),
        )

    def ensemble(self, group: str) -> str:
        """members.json: the members of an ensemble and how much each counts."""
        return self._file(
            f"{group}/members.json",
            lambda: (
                self.ensemble_settings(),
                [self.scores(run, "validation") for run in self.may_join(group)],
            ),
        )

    def predictions(self) -> list[str]:
        """The test set's chunks."""
        return [f"{self.folder}/predictions/{chunk}.h5" for chunk in self.data.chunks["test"]]

    def table_inputs(self) -> list[str]:
        """The scores of every model and ensemble that has a row, and who was selected."""
        runs = [*self.all_runs(), *self.groups()]
        files = [self.scores(run, part) for part in ("validation", "test") for run in runs]
        return files + [self.selected(i, "json") for i in range(self.last + 1)]

    def test_ratings(self) -> list[str]:
        """test.ratings.csv of every model and ensemble."""
        runs = [*self.all_runs(), *self.groups()]
        return [self.ratings(run, "test") for run in runs]

    def label_sets(self) -> list[str]:
        """The label sets of all E-steps."""
        members = [(i, m) for i in range(1, self.last + 1) for m in self.members[i]]
        return list(dict.fromkeys(self.label_set(i, split_member(m)[1]) for i, m in members))

    def kept(self) -> list[str]:
        """Weights, pseudo-labels, ensemble: asked for, so that what is deleted is made again."""
        files = [f"{self.folder}/ensemble.json"]
        files += [self.weights(run, stage) for run in self.all_runs() for stage in STAGES]
        for i in range(self.last + 1):
            files += [self.selected(i, "safetensors"), *(self.pseudo_labels(i) if i else [])]
        return files

    def new_records(self) -> list[str]:
        """The files of new videos; empty where nothing names them."""
        return files_of(self.new_record_patterns())

    def new_record_patterns(self) -> list[str]:
        """As they are configured, since a command has no room for thousands of names."""
        patterns = self.config.get("localise", {}).get("records", [])
        return [patterns] if isinstance(patterns, str) else patterns

    # Settings ------------------------------------------------------------------------------------

    def preflight_settings(self) -> str:
        data = self.config["data"]
        keys = ("max_frames", "segment_frames", "validation_fraction")
        threshold = threshold_of(self.config)
        return canonical({key: data[key] for key in keys} | {"threshold": threshold})

    def pretrain_settings(self, run: str) -> str:
        return self._training(run, "pretrain", video_loss=self.config["training"]["video_loss"])

    def maximise_settings(self, run: str) -> str:
        taken = {key: self.em[key] for key in ("labels", "agreement")}
        return self._training(run, "m_step", estimation=split_member(run)[1], **taken)

    def finetune_settings(self, run: str) -> str:
        return self._training(
            run,
            "finetune",
            validation_fraction=self.config["data"]["validation_fraction"],
            unrated_negatives=self.config["training"]["finetune"]["unrated_negatives"],
        )

    def _training(self, run: str, stage: str, **extra: Any) -> str:
        model, training = self.model(run), self.config["training"]
        plan = training[stage]
        return canonical(
            {
                "architecture": model["architecture"],
                "options": options_of(model),
                "features": self.data.features,
                "max_frames": self.config["data"]["max_frames"],
                "segment_frames": self.config["data"]["segment_frames"],
                "learning_rate": model["training"]["learning_rate"] * plan["learning_rate_factor"],
                "batch": model["training"]["batch"],
                "epochs": plan["epochs"],
                "average_epochs": plan["average_epochs"],
                "decay": training["decay"],
                "clip_norm": training["clip_norm"],
                "precision": training["precision"],
                # Each model draws its own numbers, whatever else is trained beside it.
                "seed": zlib.crc32(f"{self.config['seed']}/{run}/{stage}".encode()),
                **extra,
            }
        )

    def scoring_settings(self, **extra: Any) -> str:
        """What every job that scores videos depends on, beside its input files."""
        return canonical(
            {
                "max_frames": self.config["data"]["max_frames"],
                "segment_frames": self.config["data"]["segment_frames"],
                "precision": self.config["training"]["precision"],
                **extra,
            }
        )

    def description_settings(self) -> str:
        """What ensemble.json says beside the members and the names of the classes."""
        return canonical(
            {
                "inference": json.loads(self.scoring_settings()),
                "threshold": self.config["localisation"]["threshold"],
            }
        )

    def evaluation_settings(self, part: str) -> str:
        """part: validation (the held-out part of the rated videos) or test."""
        evaluation = self.config["evaluation"]
        measure = {
            "top_segments": evaluation["top_segments"],
            "replicates": evaluation["bootstrap_replicates"],
            "seed": self.config["seed"],
        }
        extra = {}
        if part == "validation":
            extra["validation_fraction"] = self.config["data"]["validation_fraction"]
        return self.scoring_settings(measure=measure, **extra)

    def estimation_settings(self) -> str:
        return self.scoring_settings(**self.em["keep"])

    def threshold_settings(self, estimation: str) -> str:
        return canonical({"threshold": threshold_of(self.config), "estimation": estimation})

    def selection_settings(self, i: int | str) -> str:
        stages = ["finetuned"] if int(i) else [self.em["initial_stage"]]
        return canonical({"stages": stages, **self._bootstrap()})

    def calibration_settings(self) -> str:
        return canonical({"calibration": self.em["calibration"]})

    def _bootstrap(self) -> dict[str, int]:
        """The draws of videos behind standard errors."""
        replicates = self.config["evaluation"]["bootstrap_replicates"]
        return {"replicates": replicates, "seed": self.config["seed"]}

    def summary_settings(self) -> str:
        return canonical(self._bootstrap())

    def ensemble_settings(self) -> str:
        joining = {key: value for key, value in self.config["ensemble"].items() if key != "members"}
        return canonical({**joining, **self._bootstrap()})

    # Plug-ins that jobs load by name -------------------------------------------------------------

    def model(self, run: str) -> Mapping[str, Any]:
        """The entry under `models` of a run, a member or a model."""
        return self.config["models"][split_member(run.rpartition("/")[2])[0]]

    def model_files(self, *runs: str) -> list[str]:
        return sorted({f"models/{self.model(run)['architecture']}.py" for run in runs})

    def teacher_files(self, i: int | str) -> list[str]:
        """The files of all models that may teach an iteration."""
        return self.model_files(*self._teaching(i))

    def threshold_file(self) -> str:
        return f"thresholds/{self.em['threshold']['rule']}.py"


def iteration_of(run: str) -> int:
    """em/iteration-2/<member> -> 2."""
    return int(run.split("/")[1].removeprefix("iteration-"))


def experiments_of(config: Mapping[str, Any]) -> dict[str, Experiment]:
    """{name: experiment}: the configured one first, then those of its ablation.

    Raises ConfigError, which names the experiment where it is one of an ablation.
    """
    made: dict[tuple[str, ...], str] = {}
    datasets: dict[str, Dataset] = {}
    found: dict[str, Experiment] = {}
    for variation, settings in [({}, config), *_variations(config)]:
        try:
            experiment = _experiment(checked(settings), datasets, made)
        except ConfigError as error:
            where = f"{settings['experiment']}: " if variation else ""
            raise ConfigError(f"{where}{error}") from None
        experiment.variation = variation
        found[experiment.name] = experiment
        # Here, since whose file is shared must not depend on which rule asks first; the configured
        # experiment comes last, so that an ablation does not lean on a run that nobody asked for.
        if variation:
            experiment.table_inputs()
    return found


def _experiment(
    config: Mapping[str, Any], datasets: dict[str, Dataset], made: dict[tuple[str, ...], str]
) -> Experiment:
    data = Dataset(config)
    known = datasets.setdefault(data.name, data)
    if known.identity() != data.identity():
        raise ConfigError(
            f"config: data.name: '{data.name}' names other data already; give each its own name"
        )
    return Experiment(config, known, made)


def _variations(config: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """({data, variation, seed}, the whole configuration) of each experiment of an ablation."""
    ablation = config.get(ABLATION)
    if not ablation:
        return
    checked(config)  # before anything in it is relied on
    for data, file in ablation["data"].items():
        for variation, overlay in ablation["variations"].items():
            for seed in ablation["seeds"]:
                settings = deepcopy({k: v for k, v in config.items() if k != ABLATION})
                update_config(settings, _overlay(file))
                update_config(settings, deepcopy(overlay or {}))
                place = {"data": data, "variation": variation, "seed": int(seed)}
                settings["experiment"] = ".".join([config["experiment"], *map(str, place.values())])
                _seed(settings, int(seed))
                yield place, settings


def _overlay(file: str) -> dict[str, Any]:
    if not Path(file).is_file():
        raise ConfigError(f"config: ablation.data: no file {file!r}")
    return yaml.safe_load(Path(file).read_text(encoding="utf-8"))


def _seed(settings: dict[str, Any], seed: int) -> None:
    """Set the seed, which draws the simulated records too."""
    settings["seed"], data = seed, settings["data"]
    if not any(split in data for split in SPLITS):
        data["simulation"]["seed"] = seed
        data["name"] = f"{data['name']}-{seed}"
