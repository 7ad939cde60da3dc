"""Wrong configurations: each refused before any job, in a line with key, value and what is allowed.

What shows only in the data is refused by the first job that sees it (docs/data.md).
"""

import copy
from pathlib import Path

import mistakes
import pytest
import yaml
from configuration import ConfigError, checked

ROOT = Path(__file__).parent.parent
REMOVED = object()
NAN, INFINITE = float("nan"), float("inf")


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The default configuration, in a folder with the files that the table names."""
    monkeypatch.chdir(tmp_path)
    for name in ("train0.tfrecord", "train1.tfrecord", "rated0.tfrecord", "test0.tfrecord"):
        Path(name).touch()
    Path("test{0}.tfrecord").touch()
    Path("link.tfrecord").symlink_to("train1.tfrecord")
    Path("classes.csv").write_text("Index\n3\n7\n")
    Path("vocabulary.csv").write_text("Index,Name\n3,Game\n7,Guitar\n")
    Path("few.csv").write_text("Index,Name\n3,Game\n")
    Path("names.csv").write_text("Id,Name\n3,Game\n")
    Path("twice.csv").write_text("Index\n3\n3\n")
    Path("text.csv").write_text("Index\nGame\n")
    Path("empty.csv").write_text("Index\n")
    return yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))


def changed(config, changes):
    config = copy.deepcopy(config)
    for path, value in changes.items():
        *folders, key = path.split(".")
        part = config
        for folder in folders:
            part = part[folder]
        if value is REMOVED:
            del part[key]
        else:
            part[key] = value
    return config


OWN = {
    "data.train": "train*.tfrecord",
    "data.segments": "rated*.tfrecord",
    "data.test": ["test0.tfrecord"],
    "data.segment_classes": "classes.csv",
}
LOGISTIC = {"architecture": "logistic", "fusion": "early"}
# name: (changes, parts of the line: key, value, what is allowed)
WRONG = {
    # Keys that are not there, or should not be
    "class lists without records": (
        {"data.segment_classes": "none.csv"},
        "data.segment_classes: given without train, segments and test",
    ),
    "unknown section": ({"trainig": {}}, "trainig: unknown key; did you mean 'training'?"),
    "unknown key": ({"data.chunk": 2}, "data.chunk: unknown key; did you mean 'chunks'?"),
    "unknown key of simulation": (
        {"data.simulation.nose": 1},
        "data.simulation.nose: unknown key; did you mean 'noise'?",
    ),
    "unknown key of compute": ({"compute.gpus": 1}, "compute.gpus: unknown key", "'gpu'"),
    "unknown stage": (
        {"training.fine_tune": {"epochs": 1, "learning_rate_factor": 1}},
        "training.fine_tune: unknown key; did you mean 'finetune'?",
    ),
    "missing section": ({"em": REMOVED}, "the top level: 'em' is missing"),
    "missing key": ({"em.keep": REMOVED}, "em: 'keep' is missing"),
    "missing number": ({"em.keep.top": REMOVED}, "em.keep: 'top' is missing"),
    "missing policy": ({"data.on_damage": REMOVED}, "data: 'on_damage' is missing"),
    "model without architecture": (
        {"models.mine": {"fusion": "early", "training": {"learning_rate": 1, "batch": 1}}},
        "models.mine: 'architecture' is missing",
    ),
    "model without training": ({"models.mine": LOGISTIC}, "models.mine: 'training' is missing"),
    # Types
    "text for a number": ({"seed": "many"}, "seed: 'many' is not of type 'integer'"),
    "fraction for a number": ({"data.chunks": 1.5}, "data.chunks: 1.5 is not of type 'integer'"),
    "truth for a number": ({"data.chunks": True}, "data.chunks: True is not of type 'integer'"),
    "number for a truth": ({"controls": 2}, "controls: 2 is not of type 'boolean'"),
    "number for a name": ({"experiment": 7}, "experiment: 7 is not of type 'string'; quote it"),
    "nothing for a section": ({"training": None}, "training: None is not of type 'object'"),
    "list for a section": ({"models": ["logistic"]}, "models: ['logistic'] is not of type"),
    "name for members": (
        {"em.iterations": ["bigru@video_prior"]},
        "em.iterations.0: 'bigru@video_prior' is not of type 'array'",
    ),
    "number for files": ({"data.train": 7}, "data.train: 7 is not of type 'string', 'array'"),
    "no number at all": (
        {"training.clip_norm": NAN},
        "training.clip_norm: nan is not a finite number",
    ),
    "infinite number": (
        {"models.bigru.training.learning_rate": INFINITE},
        "models.bigru.training.learning_rate: inf is not a finite number",
    ),
    "infinite option of a model, as text": (
        {"models.nextvlad.expansion": "1e999"},
        "models.nextvlad.expansion: inf is not a finite number",
    ),
    # Ranges
    "negative seed": ({"seed": -1}, "seed: -1 is less than the minimum of 0"),
    "no chunks": ({"data.chunks": 0}, "data.chunks: 0 is less than the minimum of 1"),
    "no frames": ({"data.max_frames": 0}, "data.max_frames: 0 is less than the minimum of 1"),
    "no width": (
        {"data.features": {"rgb": 0}},
        "data.features.rgb: 0 is less than the minimum of 1",
    ),
    "all for validation": (
        {"data.validation_fraction": 1},
        "data.validation_fraction: 1.0 is greater than or equal to the maximum of 1",
    ),
    "nothing for validation": (
        {"data.validation_fraction": 0},
        "data.validation_fraction: 0.0 is less than or equal to the minimum of 0",
    ),
    "no epochs": ({"training.m_step.epochs": 0}, "training.m_step.epochs: 0 is less than"),
    "no learning rate": (
        {"models.bigru.training.learning_rate": 0},
        "models.bigru.training.learning_rate: 0.0 is less than or equal to the minimum of 0",
    ),
    "negative factor": (
        {"training.finetune.learning_rate_factor": -0.1},
        "training.finetune.learning_rate_factor: -0.1 is less than",
    ),
    "empty batches": ({"models.bigru.training.batch": 0}, "models.bigru.training.batch: 0 is less"),
    "no video label at all": (
        {"data.simulation.missing_labels": 1},
        "data.simulation.missing_labels: 1.0 is greater than or equal to the maximum of 1",
    ),
    "no gradient": ({"training.clip_norm": 0}, "training.clip_norm: 0.0 is less than or equal"),
    "threshold above one": (
        {"em.threshold.delta": 1.1},
        "em.threshold.delta: 1.1 is greater than the maximum of 1",
    ),
    "share of nothing": (
        {"em.threshold.share": 0},
        "em.threshold.share: 0.0 is less than or equal",
    ),
    "floor above one": ({"em.keep.floor": 1.2}, "em.keep.floor: 1.2 is greater than the maximum"),
    "negative top": ({"em.keep.top": -3}, "em.keep.top: -3 is less than the minimum of 0"),
    "one replicate": (
        {"evaluation.bootstrap_replicates": 1},
        "evaluation.bootstrap_replicates: 1 is less than the minimum of 2",
    ),
    "criterion by another name": (
        {"evaluation.criterion": "auc"},
        "evaluation.criterion: 'auc' is not one of map, weighted_map",
    ),
    "nothing submitted": ({"evaluation.top_segments": 0}, "evaluation.top_segments: 0 is less"),
    "nothing localised": (
        {"localisation.threshold": 1.5},
        "localisation.threshold: 1.5 is greater than the maximum of 1",
    ),
    "negative threads": ({"compute.threads": -2}, "compute.threads: -2 is less than the minimum"),
    "no time for states": ({"compute.state_minutes": 0}, "compute.state_minutes: 0.0 is less than"),
    "no memory": ({"compute.memory_mb.train": 0}, "compute.memory_mb.train: 0 is less than"),
    "share above one": (
        {"data.simulation.uneven_share": 2},
        "data.simulation.uneven_share: 2.0 is greater than the maximum of 1",
    ),
    # Choices and names
    "no such loss": (
        {"training.video_loss": "max"},
        "training.video_loss: 'max', which does not exist (there are: attention, linear_softmax, ",
    ),
    "no such decay": ({"training.decay": "cosine"}, "training.decay: 'cosine' is not one of"),
    "no such precision": (
        {"training.precision": "float16"},
        "training.precision: 'float16' is not one of auto, float32, bfloat16",
    ),
    "no such policy": (
        {"data.on_damage": "ignore"},
        "data.on_damage: 'ignore' is not one of stop, skip",
    ),
    "no such selection": ({"em.select": "last"}, "em.select: 'last' is not one of"),
    "no such stage": ({"em.initial_stage": "raw"}, "em.initial_stage: 'raw' is not one of"),
    "no such weights": ({"ensemble.weights": "best"}, "ensemble.weights: 'best' is not one of"),
    "no such fusion": (
        {"models.bigru.fusion": "middle"},
        "models.bigru.fusion: 'middle' is not one of early, late",
    ),
    "no such architecture": (
        {"models.bigru.architecture": "lstm"},
        "models.bigru.architecture: 'lstm', which does not exist",
        "there are: ",
    ),
    "no such initial model": (
        {"em.initial": "logistc"},
        "em names the model 'logistc', which does not exist; did you mean 'logistic'?",
    ),
    "no such initial model among several": (
        {"em.initial": ["logistic", "logistc"]},
        "em names the model 'logistc', which does not exist; did you mean 'logistic'?",
    ),
    "no initial model": ({"em.initial": []}, "em.initial: [] "),
    "no such pooling of one model": (
        {"models.bigru.training.video_loss": "max"},
        "models.bigru.training.video_loss: 'max', which does not exist (there are: attention, ",
    ),
    "member that names no model": (
        {"em.iterations": [["lstm@video_prior"]]},
        "em names the model 'lstm', which does not exist",
        "there are: logistic, logistic_peaks, nextvlad",
    ),
    "no such estimation": (
        {"em.iterations": [["bigru@prior"]]},
        "em.iterations: iteration 1: 'bigru@prior'",
        "names the estimation 'prior', which does not exist",
    ),
    "member without estimation": (
        {"em.iterations": [["bigru"]]},
        "em.iterations: iteration 1: 'bigru' (written model@estimation)",
    ),
    "no such rule": ({"em.threshold.rule": "median"}, "em.threshold.rule: 'median', which does"),
    "path for a name": ({"experiment": "../x"}, "experiment: '../x' is not letters, digits"),
    "command for a name": ({"experiment": "a; rm -r b"}, "experiment: 'a; rm -r b' is not"),
    "expansion for a name": ({"data.name": "$(id)"}, "data.name: '$(id)' is not letters, digits"),
    "option for a name": ({"experiment": "--all"}, "experiment: '--all' is not letters, digits"),
    "two lines for a name": ({"experiment": "a\nb"}, r"experiment: 'a\nb' is not letters, digits"),
    "folder for a name": ({"experiment": "index"}, "experiment: 'index' is a name of the work"),
    "name of the ensemble": (
        {"models.ensemble": LOGISTIC | {"training": {"learning_rate": 1, "batch": 1}}},
        "models: 'ensemble' is a name of the workflow's own",
    ),
    "spaces in a modality": (
        {"data.features": {"r g b": 3}},
        "data.features: 'r g b' is not letters, digits and '_'",
    ),
    "modality that YAML reads as a number": (
        {"data.features": {1: 3}},
        "data.features: 1 is not of type 'string'; quote it",
    ),
    "link that runs": ({"report.link": "javascript:x({id})"}, "report.link: 'javascript:x({id})'"),
    "link without id": (
        {"report.link": "https://a.example/"},
        "report.link: 'https://a.example/' is not a web address, or a path, with {id} in it",
    ),
    # Options of models and rules
    "unknown option": ({"models.bigru.widht": 3}, "models.bigru.widht: unknown key"),
    "training's key beside the options": (
        {"models.bigru.learning_rate": 0.1},
        "models.bigru.learning_rate: it belongs under models.bigru.training",
    ),
    "missing option": ({"models.bigru.hidden": REMOVED}, "models.bigru: option 'hidden' (int) is"),
    "option of another type": ({"models.bigru.hidden": 1.5}, "models.bigru.hidden: 1.5 is not int"),
    "no such positions": (
        {"models.transformer_early.positions": "learned"},
        "models.transformer_early.positions: 'learned' is not Literal['none', 'sinusoidal']",
    ),
    "option of no rule": (
        {"em.threshold.shar": 0.3},
        "em.threshold.shar: unknown key; did you mean 'share'? (allowed: rule, delta, ",
    ),
    "option of a rule that is text": (
        {"em.threshold.share": "most"},
        "em.threshold.share: 'most' is not of type 'number'",
    ),
    "rule without its option": (
        {"em.threshold": {"rule": "fixed"}},
        "em.threshold: rule fixed needs the key 'delta'",
    ),
    # Contradictions
    "threshold that no score passes": (
        {"em.threshold": {"rule": "fixed", "delta": 1}},
        "em.threshold.delta: no score is above 1, so that rule fixed would label nothing",
    ),
    "threshold below the floor": (
        {"em.threshold": {"rule": "fixed", "delta": 0.01}},
        "em.threshold.delta: 0.01 is below em.keep.floor (0.05)",
        "lower the floor or raise delta",
    ),
    "delta joined with a share below the floor": (
        {"em.threshold": {"rule": "fixed_or_share", "delta": 0.01, "share": 0.1}},
        "em.threshold.delta: 0.01 is below em.keep.floor",
    ),
    "other segments than simulated ones": (
        {"data.segment_frames": 10, "data.max_frames": 120},
        "data.segment_frames: 10; simulated records are rated every 5 frames",
    ),
    "more than a submission holds": (
        {"evaluation.top_segments": 200_000},
        "evaluation.top_segments: 200000, and a submission has at most 100000 a class",
    ),
    "layers below one": (
        {"models.bigru.layers": 0},
        "models.bigru.layers: 0 is not at least 1",
    ),
    "dropout of everything": (
        {"models.transformer_late.dropout": 1},
        "models.transformer_late.dropout: 1.0 is not below 1",
    ),
    "heads that do not divide": (
        {"models.transformer_early.heads": 7},
        "models.transformer_early.heads: 7 is not a divisor of hidden",
    ),
    "clusters of nothing": (
        {"models.nextvlad.clusters": 0},
        "models.nextvlad.clusters: 0 is not at least 1",
    ),
    "neighbours below none": (
        {"models.logistic.context": -1},
        "models.logistic.context: -1 is not at least 0",
    ),
    "simulated features of another kind": (
        {"data.features": {"rgb": None, "audio": 64, "flow": 32}},
        "data.simulation: data.features must be rgb and audio, not audio, flow",
    ),
    "an average over more epochs than there are": (
        {"training.finetune.average_epochs": 17},
        "training.finetune.average_epochs: 17 is above the 16 epochs there are",
    ),
    "more classes to find than there are": (
        {"data.simulation.segment_classes": 61},
        "data.simulation: needs segment_classes <= vocabulary_classes",
    ),
    "shortest video above the longest": (
        {"data.simulation.frames": {"mean": 65, "minimum": 130, "maximum": 120}},
        "data.simulation: frames needs 1 <= minimum <= mean <= maximum",
    ),
    "shift of a whole segment": (
        {"ensemble.shifts": [0, 5]},
        "ensemble.shifts: 5 is not below data.segment_frames (5)",
    ),
    "shifts without the plain grid": (
        {"ensemble.shifts": [1, 2]},
        "ensemble.shifts: [1, 2] must hold 0",
    ),
    "the same member twice": (
        {"em.iterations": [["bigru@video_prior", "bigru@video_prior"]]},
        "em.iterations.0: ",
        "has non-unique elements",
    ),
    "an iteration of nobody": ({"em.iterations": [[]]}, "em.iterations.0: [] should be non-empty"),
    "segments that do not divide": (
        {"data.max_frames": 121},
        "data.max_frames: 121 is not a multiple of data.segment_frames (5)",
    ),
    "no modality": ({"data.features": {"rgb": None}}, "data.features: no modality is left"),
    "no data": (
        {"data.simulation": REMOVED},
        "data: give train, segments, test and segment_classes, or sim",
    ),
    "compiling for several GPUs": (
        {"compute.compile": True, "compute.gpu": 2},
        "compute.compile: works with one GPU per job, and compute.gpu is 2",
    ),
    "chunks above simulated files": (
        {"data.chunks": 17},
        "data.chunks: 17 is above the number of files (train 8, segments 4, test 4)",
    ),
    # Files
    "chunks above files": (
        OWN | {"data.chunks": 5},
        "data.chunks: 5 is above the number of files (train 2, segments 1, test 1)",
    ),
    "empty glob": (OWN | {"data.train": "no*.h5"}, "data.train: no file matches 'no*.h5' (from"),
    "empty list": (OWN | {"data.test": []}, "data.test: [] should be non-empty"),
    "a file that is not there": (
        OWN | {"data.test": ["test9.tfrecord"]},
        "data.test: no file matches ['test9.tfrecord']",
    ),
    "one split missing": (
        OWN | {"data.test": REMOVED},
        "data.test: missing; without simulation",
        "where there is no test set, name a file",
    ),
    "no classes": (OWN | {"data.segment_classes": REMOVED}, "data.segment_classes: missing"),
    "class list that is not there": (
        OWN | {"data.segment_classes": "no.csv"},
        "data.segment_classes: no.csv: cannot be read",
    ),
    "class list of another form": (
        OWN | {"data.segment_classes": "names.csv"},
        "data.segment_classes: names.csv: no column Index",
    ),
    "class list of names": (
        OWN | {"data.segment_classes": "text.csv"},
        "data.segment_classes: text.csv: line 2: Index 'Game' is no class id",
    ),
    "class twice": (
        OWN | {"data.segment_classes": "twice.csv"},
        "data.segment_classes: twice.csv: line 3: class 3 is there twice",
    ),
    "class list without classes": (
        OWN | {"data.segment_classes": "empty.csv"},
        "data.segment_classes: empty.csv: holds no class",
    ),
    "vocabulary that is not there": (
        OWN | {"data.vocabulary": "no.csv"},
        "data.vocabulary: no.csv: cannot be read",
    ),
    "classes outside the vocabulary": (
        OWN | {"data.vocabulary": "few.csv"},
        "data.segment_classes: class 7 of classes.csv is not in data.vocabulary, few.csv",
    ),
    "files for fine-tuning and test": (
        OWN | {"data.test": "*ed0.tfrecord"},
        "data.test: ",
        "rated0.tfrecord is in data.segments too",
        "a video may be in one split only",
    ),
    "files for training and test": (
        OWN | {"data.test": "t*0.tfrecord"},
        "train0.tfrecord is in data.train too",
    ),
    "a file for two splits under two names": (
        OWN | {"data.test": "link.tfrecord"},
        "train1.tfrecord is in data.train too",
    ),
    "braces in a name": (
        OWN | {"data.test": ["test{0}.tfrecord"]},
        "data.test: 'test{0}.tfrecord': Snakemake takes braces for wildcards; rename it",
    ),
    "new videos that are not there": (
        {"localise": {"records": ["nowhere/*.h5"]}},
        "localise.records: no file matches ['nowhere/*.h5']",
    ),
    "braces in the name of new videos": (
        {"localise": {"records": "test{*.tfrecord"}},
        "localise.records: 'test{0}.tfrecord': Snakemake takes braces for wildcards; rename it",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_line_with_key_value_and_what_is_allowed(config, name):
    changes, *parts = WRONG[name]
    if "data.test" in changes and changes["data.test"] is REMOVED:
        config["data"]["test"] = "none"
    if "data.segment_classes" in changes and changes["data.segment_classes"] is REMOVED:
        config["data"]["segment_classes"] = "none"
    with pytest.raises(ConfigError) as error:
        checked(changed(config, changes))
    (line,) = str(error.value).splitlines()
    assert line.startswith("config: ")
    assert [part for part in parts if part not in line] == [], line


def test_a_chunk_has_no_more_files_than_a_command_can_name(config, monkeypatch):
    one_chunk = changed(config, OWN | {"data.chunks": 1})
    # Two names of 15 bytes, each ended by a byte and with a pointer of 8.
    monkeypatch.setattr(mistakes, "COMMAND_BYTES", 48)
    checked(one_chunk)
    monkeypatch.setattr(mistakes, "COMMAND_BYTES", 47)
    with pytest.raises(ConfigError, match=r"data\.chunks: 1 chunks give one 2 files of train"):
        checked(one_chunk)


@pytest.mark.parametrize("changes", [OWN, OWN | {"data.vocabulary": "vocabulary.csv"}, {}])
def test_what_the_table_changes_is_right_without_its_changes(config, changes):
    assert checked(changed(config, changes))["experiment"] == "demo"


def test_every_mistake_is_reported_at_once(config):
    with pytest.raises(ConfigError) as error:
        checked(changed(config, {"data.chunks": 0, "em.initial_stage": "raw"}))
    assert len(str(error.value).splitlines()) == 2
