"""What runs again after a change: exactly what the change can touch, and no less.

The workflow runs once; each change is made on a copy of that folder, code included, and the files
that would be made again are compared with a list written by hand. Paths are relative to the
experiment's folder, results/small, if they do not start with results/.
"""

import csv
import json
import os
import re
import shutil
import subprocess
import sys

import h5py
import pytest
import yaml
from workflow_runs import ROOT, snakemake

pytestmark = pytest.mark.slow

LOGISTIC = "em/iteration-0/logistic"
EARLY_1 = "em/iteration-1/transformer_early@video_prior"
EARLY_2 = "em/iteration-2/transformer_early@video_prior"
NEXTVLAD_2 = "em/iteration-2/nextvlad@label_corrected"
MEMBERS = [LOGISTIC, EARLY_1, EARLY_2, NEXTVLAD_2]
EARLY_CONTROL, NEXTVLAD_CONTROL = "controls/transformer_early", "controls/nextvlad"
CONTROLS = [EARLY_CONTROL, NEXTVLAD_CONTROL]

# Families of files ------------------------------------------------------------------------------


def weights(*runs):
    stages = ("pretrained", "finetuned")
    return {f"{run}/{stage}.safetensors" for run in runs for stage in stages} | refit(*runs)


def refit(*runs):
    """What joins the ensembles: members of the last iteration, and controls."""
    join = [run for run in runs if run.startswith(("controls/", "em/iteration-2/"))]
    return {f"{run}/refit.safetensors" for run in join}


def scores(*runs):
    endings = ("json", "ratings.csv")
    parts = ("validation", "test")
    return {f"{run}/{part}.{ending}" for run in runs for part in parts for ending in endings}


def trained(*runs):
    return weights(*runs) | scores(*runs)


def selected(*iterations):
    """F of iterations, and the mean that teaches after them."""
    endings = ("safetensors", "ratings.csv")
    files = {f"em/iteration-{i}/selected.{ending}" for i in iterations for ending in endings}
    means = [f"em/iteration-{i}/ensemble" for i in iterations if i]
    return files | {f"{mean}/members.json" for mean in means} | scores(*means)


def estimated(i):
    return {f"em/iteration-{i}/pseudo_labels/{chunk}.h5" for chunk in ("000", "002")}


def label_sets(i):
    estimations = {1: ["video_prior"], 2: ["video_prior", "label_corrected"]}[i]
    files = {f"em/iteration-{i}/label_sets/{estimation}.csv" for estimation in estimations}
    return files | {f"em/iteration-{i}/inspection.csv"}


def replayed(*scorers):
    return {
        f"report/scores/{name}/{part}.h5" for name in scorers for part in ("test", "validation")
    }


PAGE = {"report.html"}
FIGURES = {
    f"figures/{name}.{ending}"
    for name in (
        *("map_by_iteration", "positives_by_class", "videos_with_positive", "agreement"),
        *("against_truth", "training_curves", "ap_by_class", "localisation_quality", "timeline"),
    )
    for ending in ("svg", "csv")
} | {"figures/devices.csv"}
SHOWN = {"report/videos.csv"} | replayed("F0", "T1", "T2", "ensemble")
PREDICTIONS = {"predictions/000.h5", "predictions/001.h5"}
CSV = {"submission.csv", "localisations.csv"}
MEMBERS_JSON = {"ensemble/members.json", "ensemble.json"}
ENSEMBLE = MEMBERS_JSON | scores("ensemble") | PREDICTIONS | CSV | SHOWN
CONTROL_ENSEMBLE = {"controls/ensemble/members.json"} | scores("controls/ensemble")
TABLE = {"table.csv"} | FIGURES | PAGE
PREFLIGHT = {"preflight.csv"}
ITERATION_1 = trained(EARLY_1) | selected(1)
ITERATION_2 = trained(EARLY_2, NEXTVLAD_2) | selected(2)
E_STEP_1, E_STEP_2 = estimated(1) | label_sets(1), estimated(2) | label_sets(2)
AFTER_F1 = E_STEP_2 | ITERATION_2 | ENSEMBLE | TABLE
AFTER_F0 = E_STEP_1 | ITERATION_1 | AFTER_F1
ALL_CONTROLS = trained(*CONTROLS) | CONTROL_ENSEMBLE
EVERYTHING_TRAINED = trained(LOGISTIC) | selected(0) | AFTER_F0 | ALL_CONTROLS


# What features are like stands in ensemble.json.
SPLITS_CHECKED = {"results/index/small/splits.json", "ensemble.json"}


def index(split, chunk):
    return {f"results/index/small/{split}/{chunk}.h5"} | SPLITS_CHECKED


# The run, and copies of it ----------------------------------------------------------------------


class Project:
    """A folder with code/, records/ and the results of a run."""

    def __init__(self, folder):
        self.folder, self.results = folder, folder / "results/small"

    def run(self, *arguments):
        done = self.tried(*arguments)
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout

    def fail(self):
        """What a run says that ends with an error."""
        done = self.tried()
        assert done.returncode == 1
        return done.stdout

    def tried(self, *arguments):
        return snakemake(
            self.folder,
            *arguments,
            configs=[self.folder / "code/reruns.yaml"],
            snakefile=self.folder / "code/Snakefile",
        )

    def wanted(self, *arguments):
        """The results that a run would make; a .json that only tells of another is left out."""
        rows = [line.split("\t") for line in self.run("--summary", *arguments).splitlines()]
        start = next(n for n, row in enumerate(rows) if row[0] == "output_file")
        plan = rows[start].index("plan")
        files = {row[0] for row in rows[start + 1 :] if len(row) > plan}
        pending = {row[0] for row in rows[start + 1 :] if row[-1].startswith("update pending")}
        assert files
        return {
            file.removeprefix("results/small/")
            for file in pending
            if not file.endswith(".json")
            or re.search(
                r"(?<!/scores)/[^/]+/(validation|test|members)\.json$"
                r"|/(ensemble|calibration|splits)\.json$",
                file,
            )
        }

    def configure(self, change):
        """Apply a function to the project's configuration."""
        path = self.folder / "code/reruns.yaml"
        config = yaml.safe_load(path.read_text())
        change(config)
        path.write_text(yaml.safe_dump(config, sort_keys=False))

    def edit(self, file, old, new):
        path = self.folder / "code/workflow_scripts" / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file}: {text.count(old)} x {old!r}"
        path.write_text(text.replace(old, new))


def fresh(folder):
    """A project without results: the code of this checkout and records to read."""
    code = folder / "code"
    for name in ("Snakefile", "config.yaml", "rules", "workflow_scripts", "envs", "profiles"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        code.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, code / name)
    shutil.copy2(ROOT / "tests/workflow/reruns.yaml", code)
    return Project(folder)


def copied(project, folder, results=True):
    left_out = () if results else ("results", ".snakemake")
    shutil.copytree(
        project.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*left_out)
    )
    return Project(folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    project = fresh(tmp_path_factory.mktemp("finished"))
    files = ["vocabulary.csv", "segment_label_ids.csv"]
    counts = {"train": 3, "segments": 2, "test": 2}
    files += [f"{split}-{n:03d}.tfrecord" for split in counts for n in range(counts[split])]
    done = snakemake(project.folder, "--", *(f"results/data/tiny/{file}" for file in files))
    assert done.returncode == 0, done.stdout[-4000:]
    (project.folder / "records").mkdir()
    for file in files:
        (project.folder / "results/data/tiny" / file).rename(project.folder / "records" / file)
    shutil.rmtree(project.folder / "results")
    project.run()
    return project


@pytest.fixture
def project(finished, tmp_path):
    return copied(finished, tmp_path / "copy")


# Settings ---------------------------------------------------------------------------------------


def test_nothing_is_made_again_when_nothing_changed(finished):
    assert finished.wanted() == set()


def setting(path, value):
    def change(config):
        *folders, key = path.split(".")
        for folder in folders:
            config = config.setdefault(folder, {})
        config[key] = value

    return change


def iterations(*members):
    return setting("em.iterations", [list(group) for group in members])


E, N, L = "transformer_early@video_prior", "nextvlad@label_corrected", "logistic@label_corrected"
LOGISTIC_2 = f"em/iteration-2/{L}"
E_STEP_3 = {file.replace("iteration-2", "iteration-3") for file in E_STEP_2}
ITERATION_3 = {file.replace("iteration-2", "iteration-3") for file in ITERATION_2}
LAST_CHANGED = selected(2) | ENSEMBLE | TABLE

F_TEACHES = {file for file in selected(1) | AFTER_F1 if not re.match(r"em/.*/ensemble/", file)}
F_TEACHES = F_TEACHES - replayed("T1", "T2") | replayed("F1", "F2")

SETTINGS = {
    "threshold": (
        setting("em.threshold", {"share": 0.5}),
        PREFLIGHT | label_sets(1) | ITERATION_1 | AFTER_F1,
    ),
    "delta, of another rule than the default": (setting("em.threshold", {"delta": 0.8}), set()),
    "calibration": (
        setting("em.calibration", "model"),
        {f"em/iteration-{i}/calibration.json" for i in (1, 2)}
        | label_sets(1)
        | ITERATION_1
        | AFTER_F1,
    ),
    "soft labels": (setting("em.labels", "soft"), ITERATION_1 | AFTER_F1),
    "how the members are joined": (
        setting("ensemble", {"join": "geometric"}),
        ENSEMBLE | CONTROL_ENSEMBLE | TABLE,
    ),
    "floor of the scores": (setting("em.keep", {"floor": 0.1}), AFTER_F0),
    "learning rate of one model": (
        setting("models.nextvlad.training", {"learning_rate": 0.002}),
        trained(NEXTVLAD_2, NEXTVLAD_CONTROL) | CONTROL_ENSEMBLE | LAST_CHANGED,
    ),
    "layers of one model": (
        setting("models.transformer_early.layers", 1),
        ITERATION_1 | AFTER_F1 | trained(EARLY_CONTROL) | CONTROL_ENSEMBLE,
    ),
    "a member more in the last iteration": (
        iterations([E], [E, N, L]),
        trained(LOGISTIC_2, "controls/logistic") | CONTROL_ENSEMBLE | LAST_CHANGED,
    ),
    "a member less in the last iteration": (
        iterations([E], [E]),
        # Iteration 2 has one estimation less to look at.
        CONTROL_ENSEMBLE | LAST_CHANGED | {"em/iteration-2/inspection.csv"},
    ),
    "an iteration more": (
        iterations([E], [E, N], [E, N]),
        E_STEP_3 | ITERATION_3 | ENSEMBLE | TABLE | replayed("T3"),
    ),
    "seed": (setting("seed", 1), EVERYTHING_TRAINED),
    "validation fraction": (
        setting("data.validation_fraction", 0.4),
        PREFLIGHT
        | EVERYTHING_TRAINED
        - {f"{run}/pretrained.safetensors" for run in (LOGISTIC, EARLY_CONTROL, NEXTVLAD_CONTROL)}
        - refit(*CONTROLS),
    ),
    "members of the ensemble": (
        setting("ensemble", {"members": "any"}),
        {f"{EARLY_1}/refit.safetensors"} | ENSEMBLE | TABLE,
    ),
    "a teacher that joins the ensemble": (
        setting("ensemble", {"members": "with_teacher"}),
        {f"{run}/refit.safetensors" for run in (LOGISTIC, EARLY_1)}
        | ENSEMBLE
        | CONTROL_ENSEMBLE
        | TABLE,
    ),
    "F as the teacher": (
        setting("em.teacher", "best"),
        F_TEACHES,
    ),
    "F of the last iteration alone": (
        lambda config: config["em"].update(select="iteration", teacher="best"),
        F_TEACHES,
    ),
    "what validation selects and weighs by": (
        setting("evaluation.criterion", "map"),
        selected(0) | AFTER_F0 | CONTROL_ENSEMBLE,
    ),
    # The weights of the mean that teaches follow from these errors.
    "draws behind each error": (
        setting("evaluation.bootstrap_replicates", 50),
        scores(LOGISTIC, *CONTROLS) | selected(0) | AFTER_F0 | CONTROL_ENSEMBLE,
    ),
    "members that are not fine-tuned again": (
        setting("ensemble", {"refit": False}),
        ENSEMBLE | CONTROL_ENSEMBLE | TABLE,
    ),
    "weights of the members": (
        setting("ensemble", {"weights": "equal"}),
        ENSEMBLE | CONTROL_ENSEMBLE | TABLE,
    ),
    "localisation's threshold": (
        setting("localisation.threshold", 0.2),
        {"localisations.csv", "ensemble.json"} | FIGURES | PAGE,
    ),
    "report title": (setting("report", {"title": "Another"}), PAGE),
    "videos that the report shows": (setting("report.videos", {"test": 5}), SHOWN | FIGURES | PAGE),
    "speed only": (setting("compute.inference_videos", 8), set()),
    "1e-3 for 0.001": (setting("models.nextvlad.training", {"learning_rate": "1e-3"}), set()),
    "a model that is not used": (setting("models.bigru", {"hidden": 3}), set()),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_repeats_what_it_decides(project, name):
    change, expected = SETTINGS[name]
    project.configure(change)
    assert project.wanted() == expected


def test_another_number_of_chunks_indexes_anew_and_repeats_all(project):
    project.configure(setting("data.chunks", 2))
    files = {"train": 2, "segments": 1, "test": 2}
    indexed = (index(split, f"{n:03d}") for split, count in files.items() for n in range(count))
    # The second chunk with files was the third, and is the second now.
    repeated = {
        file.replace("pseudo_labels/002", "pseudo_labels/001") for file in EVERYTHING_TRAINED
    }
    assert project.wanted() == repeated.union(PREFLIGHT, *indexed)


def test_an_index_of_files_that_are_not_named_now_is_told(project):
    assert "data.name" not in project.run("--dry-run")
    project.configure(setting("data.train", "records/train-00[01].tfrecord"))
    assert (
        "data.name small: its index of train was made from 1 files that data.train does not name"
        " now (records/train-002.tfrecord)"
    ) in project.run("--dry-run")
    project.configure(setting("data.train", "records/train-*.tfrecord"))
    project.configure(setting("data.on_damage", "skip"))
    assert "its index of segments was made with other settings (" in project.run("--dry-run")


def test_the_order_of_keys_and_comments_change_nothing(project):
    path = project.folder / "code/config.yaml"
    config = yaml.safe_load(path.read_text())
    features = config["data"]["features"]

    def reordered(value):
        # The order of the features means something: the first counts the frames.
        if not isinstance(value, dict) or value is features:
            return value
        return {key: reordered(value[key]) for key in reversed(value)}

    turned = yaml.safe_dump(reordered(config), sort_keys=False)
    path.write_text("# another comment\n" + turned)
    assert list(yaml.safe_load(path.read_text())) == list(reversed(config))
    assert project.wanted() == set()


def test_an_unknown_key_is_an_error_that_names_the_nearest_known_one(project):
    project.configure(setting("em.treshold", {"share": 0.5}))
    with pytest.raises(
        AssertionError, match=r"em\.treshold: unknown key; did you mean 'threshold'"
    ):
        project.wanted()


# Code -------------------------------------------------------------------------------------------

PREDICT = "settings = scoring.Inference(**args.config, videos=args.videos)"

EDITS = {
    "a comment in training.py": (
        ("segment_em/training.py", "def train(", "# a comment\n\n\ndef  train("),
        set(),
    ),
    "models/nextvlad.py": (
        ("segment_em/models/nextvlad.py", "class Model(", "EDITED = 1\n\n\nclass Model("),
        trained(NEXTVLAD_2, NEXTVLAD_CONTROL) | CONTROL_ENSEMBLE | LAST_CHANGED,
    ),
    "losses.py": (
        ("segment_em/losses.py", "import torch\n", "import torch\n\nEDITED = 1\n"),
        EVERYTHING_TRAINED,
    ),
    "metrics.py": (
        ("segment_em/metrics.py", "import numpy as np\n", "import numpy as np\n\nEDITED = 1\n"),
        scores(LOGISTIC, *CONTROLS) | CONTROL_ENSEMBLE | selected(0) | AFTER_F0,
    ),
    "estimators/video_prior.py": (
        ("segment_em/estimators/video_prior.py", "scores > thresholds", "scores >= thresholds"),
        label_sets(1) | ITERATION_1 | AFTER_F1,
    ),
    "frames.py": (
        ("segment_em/frames.py", "OPEN_FILES = 8192", "OPEN_FILES = 8191"),
        SPLITS_CHECKED | EVERYTHING_TRAINED,
    ),
    "the adapter predict.py": (
        ("predict.py", PREDICT, f"{PREDICT}\n    assert settings"),
        PREDICTIONS | CSV | SHOWN | FIGURES | PAGE,
    ),
    "figures.py": (
        ("segment_em/figures.py", "SHOWN_CLASSES = 40", "SHOWN_CLASSES = 39"),
        FIGURES | PAGE,
    ),
    "the page's style": (
        ("segment_em/page/report.css", "--muted: #5c6873", "--muted: #5c6874"),
        PAGE,
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_repeats_what_runs_the_edited_code(project, name):
    edit, expected = EDITS[name]
    project.edit(*edit)
    assert project.wanted() == expected


# Jobs that failed, and results that are not what Snakemake has recorded ---------------------------


def test_a_preflight_that_was_refused_repeats_no_training(project):
    config = project.folder / "code/reruns.yaml"
    before = config.read_text()
    project.configure(setting("data.validation_fraction", 1e-9))
    assert "for validation" in project.fail()
    config.write_text(before)
    assert not (project.results / "preflight.csv").exists()
    assert project.wanted() == PREFLIGHT | FIGURES | PAGE


def test_a_check_of_the_splits_that_is_missing_repeats_no_training(project):
    (project.folder / "results/index/small/splits.json").unlink()
    wanted = project.wanted()
    assert wanted >= SPLITS_CHECKED
    assert not [file for file in wanted if file.endswith((".safetensors", ".h5"))]


def test_a_change_of_which_the_first_job_failed_is_not_forgotten(project, tmp_path, monkeypatch):
    project.configure(setting("ensemble", {"weights": "equal"}))
    with monkeypatch.context() as without_room:
        (tmp_path / "sitecustomize.py").write_text(
            "import os, sys\nif 'weigh_members' in ' '.join(sys.orig_argv[:2]): os._exit(1)\n"
        )
        without_room.setenv("PYTHONPATH", str(tmp_path))
        assert "Error in rule weigh" in project.fail()
    _, expected = SETTINGS["weights of the members"]
    assert project.wanted() == expected


def test_weights_that_were_trained_by_other_settings_than_recorded_are_trained_again(project):
    """As where a job on a cluster has read a configuration that was edited since the start."""
    stamp = project.results / EARLY_1 / "pretrained.json"
    times, told = stamp.stat(), json.loads(stamp.read_text())
    told["stamp"]["config"]["epochs"] += 1
    stamp.write_text(json.dumps(told))
    os.utime(stamp, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert project.wanted() == ITERATION_1 | AFTER_F1


def test_a_touch_of_every_file_changes_nothing(project):
    for path in project.folder.rglob("*"):
        if path.is_file() and ".snakemake" not in path.parts:
            os.utime(path)
    assert project.wanted() == set()


@pytest.mark.reruns
def test_a_touch_of_a_record_file_of_megabytes_changes_nothing(tmp_path):
    project = fresh(tmp_path)
    videos = {"train": 40, "segments": 10, "test": 10}
    simulation = {"files": dict.fromkeys(videos, 1), "videos": videos}
    (project.folder / "code/reruns.yaml").write_text(
        yaml.safe_dump({"data": {"name": "large", "simulation": simulation}})
    )
    target = ("--", "results/index/large/train/000.h5")
    project.run(*target)
    (record,) = project.folder.glob("results/data/large/train-*.tfrecord")
    assert record.stat().st_size > 2e6
    os.utime(record)
    assert "Nothing to be done" in project.run("--dry-run", *target)


@pytest.mark.parametrize("records", ["with", "without"])
def test_simulated_videos_in_fewer_files_are_written_again(tmp_path, records):
    """All of the fewer files lie there, each with a part of the videos."""
    project = fresh(tmp_path)
    target = ("--", "results/index/divided/train/000.h5")
    for files in (2, 1):
        counts = {"train": files, "segments": 1, "test": 1}
        simulation = {"files": counts, "videos": {"train": 12, "segments": 2, "test": 2}}
        data = {"name": "divided", "chunks": 1, "simulation": simulation}
        (project.folder / "code/reruns.yaml").write_text(yaml.safe_dump({"data": data}))
        project.run(*target)
        with h5py.File(project.folder / target[1]) as index:
            assert len(index["video_ids"]) == 12, files
        if records == "without":
            shutil.rmtree(project.folder / ".snakemake")


def test_a_stash_and_back_changes_nothing(project):
    def git(*arguments):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(
            ["git", *identity, *arguments], cwd=project.folder / "code", check=True, text=True
        )

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "all")
    edit, expected = EDITS["frames.py"]
    project.edit(*edit)
    git("stash", "--quiet")
    assert project.wanted() == set()
    git("stash", "pop", "--quiet")
    assert project.wanted() == expected


# Records and results ----------------------------------------------------------------------------


MEANS = ["em/iteration-1/ensemble", "em/iteration-2/ensemble", "ensemble", "controls/ensemble"]
TESTED = {
    f"{run}/test.{ending}"
    for run in (*MEMBERS, *CONTROLS, *MEANS)
    for ending in ("json", "ratings.csv")
}


def chunk_of(project, record):
    """The chunk of the index that was made from a record file."""
    logs = project.folder.glob("results/index/small/*/*.json")
    return next(path.stem for path in logs if f"records/{record}" in path.read_text())


def test_a_changed_record_file_repeats_its_chunk_and_what_follows(project):
    chunk = chunk_of(project, "test-000.tfrecord")
    records = project.folder / "records"
    shutil.copy(records / "test-001.tfrecord", records / "test-000.tfrecord")
    tested = TESTED | {f"predictions/{chunk}.h5"} | CSV | SHOWN | TABLE
    assert project.wanted() == index("test", chunk) | PREFLIGHT | tested


def test_another_test_set_is_scored_and_nothing_trained(project):
    records = project.folder / "records"
    for name in ("test-000", "test-001"):
        shutil.copy(records / f"{name}.tfrecord", records / f"other-{name}.tfrecord")
    project.configure(setting("data.test", "records/other-test-*.tfrecord"))
    wanted = project.wanted()
    # Which chunks they are in, their names decide.
    chunks = {file for file in wanted if re.fullmatch(r"(predictions|.*/small/test)/\d+\.h5", file)}
    assert wanted - chunks == (SPLITS_CHECKED | PREFLIGHT | TESTED | CSV | SHOWN | TABLE)


def test_a_setting_that_changes_along_with_a_record_file_is_seen(project):
    """Training waits for the check of the splits, which the record file repeats."""
    chunk = chunk_of(project, "test-000.tfrecord")
    records = project.folder / "records"
    shutil.copy(records / "test-001.tfrecord", records / "test-000.tfrecord")
    project.configure(setting("training.pretrain", {"epochs": 3}))
    assert project.wanted() == index("test", chunk) | PREFLIGHT | EVERYTHING_TRAINED


def test_a_video_in_two_splits_stops_all_scoring(project):
    def written():
        files = [*project.results.glob("**/test.json"), project.results / "table.csv"]
        return {path: path.stat().st_mtime_ns for path in files}

    before = written()
    records = project.folder / "records"
    shutil.copy(records / "segments-000.tfrecord", records / "test-000.tfrecord")
    with pytest.raises(AssertionError, match="is in data"):
        project.run("--keep-going")
    assert written() == before


@pytest.mark.reruns
def test_an_added_record_file_repeats_its_chunk_and_what_follows(project):
    # Chunk 000 by the hash of its name.
    records = project.folder / "records"
    shutil.copy(records / "train-000.tfrecord", records / "train-004.tfrecord")
    assert project.wanted() == index("train", "000") | PREFLIGHT | EVERYTHING_TRAINED


def test_a_removed_record_file_repeats_its_chunk_and_what_follows(project):
    chunk = chunk_of(project, "train-001.tfrecord")
    (project.folder / "records/train-001.tfrecord").unlink()
    assert project.wanted() == index("train", chunk) | PREFLIGHT | EVERYTHING_TRAINED


def test_a_record_file_that_changed_under_its_index_is_not_misread(project):
    path = project.folder / "records/test-000.tfrecord"
    times = path.stat().st_atime, path.stat().st_mtime
    shutil.copy(project.folder / "records/test-001.tfrecord", path)
    os.utime(path, times)
    chunk = chunk_of(project, "test-000.tfrecord")
    (project.results / f"predictions/{chunk}.h5").unlink()
    with pytest.raises(AssertionError, match=r"test-000\.tfrecord changed since it was indexed"):
        project.run("--", f"results/small/predictions/{chunk}.h5")


def test_a_deleted_chunk_of_pseudo_labels_is_made_again_with_what_follows(project):
    (project.results / "em/iteration-2/pseudo_labels/000.h5").unlink()
    again = {"em/iteration-2/pseudo_labels/000.h5"}
    assert project.wanted() == again | label_sets(2) | ITERATION_2 | ENSEMBLE | TABLE


def test_deleted_predictions_are_made_again_with_what_follows(project):
    (project.results / "predictions/000.h5").unlink()
    assert project.wanted() == {"predictions/000.h5"} | CSV | SHOWN | FIGURES | PAGE


def test_what_joined_is_made_again_without_what_was_validated(project):
    (project.results / NEXTVLAD_2 / "refit.safetensors").unlink()
    expected = refit(NEXTVLAD_2) | ENSEMBLE | TABLE
    validated = {"ensemble/members.json", *(f for f in scores("ensemble") if "/validation" in f)}
    assert project.wanted() == expected - validated


def test_a_deleted_checkpoint_is_made_again_with_what_follows(project):
    (project.results / NEXTVLAD_2 / "finetuned.safetensors").unlink()
    assert project.wanted() == (
        {f"{NEXTVLAD_2}/finetuned.safetensors"} | scores(NEXTVLAD_2) | LAST_CHANGED
    )


# Without Snakemake's own records ----------------------------------------------------------------


@pytest.fixture
def moved(project, tmp_path):
    """The results in another folder, without .snakemake."""
    shutil.rmtree(project.folder / ".snakemake")
    return Project(project.folder.rename(tmp_path / "elsewhere"))


def test_results_that_were_copied_without_records_stand(moved):
    assert moved.wanted() == set()


@pytest.mark.reruns
@pytest.mark.parametrize("name", SETTINGS)
def test_without_records_a_setting_repeats_what_it_decides(moved, name):
    change, expected = SETTINGS[name]
    moved.configure(change)
    assert moved.wanted() == expected


@pytest.mark.reruns
@pytest.mark.parametrize("name", EDITS)
def test_without_records_an_edit_repeats_what_runs_the_edited_code(moved, name):
    edit, expected = EDITS[name]
    moved.edit(*edit)
    assert moved.wanted() == expected


def test_without_records_a_removed_record_file_is_noticed(moved):
    chunk = chunk_of(moved, "train-001.tfrecord")
    (moved.folder / "records/train-001.tfrecord").unlink()
    assert moved.wanted() == index("train", chunk) | PREFLIGHT | EVERYTHING_TRAINED


def test_without_any_provenance_a_result_is_made_again(moved):
    (moved.results / "localisations.json").unlink()
    assert moved.wanted() == {"localisations.csv"} | FIGURES | PAGE


# Versions, lineage, comparison ------------------------------------------------------------------


def test_results_of_another_version_are_named_and_repeated_only_if_asked(project):
    how = project.results / NEXTVLAD_2 / "finetuned.json"
    head = json.loads(how.read_text())
    now = head["circumstances"]["versions"]["torch"]
    head["circumstances"]["versions"]["torch"] = "1.13.1"
    times = how.stat().st_atime_ns, how.stat().st_mtime_ns
    how.write_text(json.dumps(head))
    os.utime(how, ns=times)

    told = project.run("--dry-run")
    assert "1 results were made with other versions" in told
    assert f"results/small/{NEXTVLAD_2}/finetuned.json: torch 1.13.1, now {now}" in told
    assert "Nothing to be done" in told
    # What the warning says, as a shell would read it.
    command = re.search(r"--forcerun \$\(python (.*)\)", told)[1].split()
    named = subprocess.run(
        [sys.executable, *command], cwd=project.folder, capture_output=True, text=True, check=True
    )
    assert project.wanted("--forcerun", *named.stdout.split()) == (
        {f"{NEXTVLAD_2}/finetuned.safetensors"} | scores(NEXTVLAD_2) | LAST_CHANGED
    )


def test_a_whole_table_is_traced_to_the_records_after_a_move(moved, tmp_path):
    (moved.folder / "results").rename(moved.folder / "kept")
    script = moved.folder / "code/workflow_scripts/lineage.py"
    told = subprocess.run(
        [sys.executable, str(script), str(moved.folder / "kept/small/table.csv")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "MISSING" not in told
    assert "CHANGED" not in told
    estimates = {file for file in E_STEP_1 | E_STEP_2 if "inspection" not in file}
    means = {file for file in selected(0, 1) if "test.ratings" not in file}
    for file in (*weights(*MEMBERS, *CONTROLS), *estimates, *means):
        assert told.count(f" results/small/{file}  ") >= 1, file
    # Each ancestry once: the others point to it.
    assert len(re.findall(r"pseudo_labels/000\.h5  estimate\.py", told)) == 2
    assert len(re.findall(r"records/train-001\.tfrecord", told)) == 1


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_experiments_are_compared_with_what_differs_between_them(project):
    one, other = (project.results.with_name(name) for name in ("one", "other"))
    for folder in (one, other):
        shutil.copytree(project.results, folder)
        (folder / "report.html").unlink()  # its timeline is made from the file that is edited
    path = other / "em/iteration-1/label_sets/video_prior.json"
    path.write_text(path.read_text().replace('"share": 0.35', '"share": 0.5'))
    told = project.run("--config", "experiments=[one, other]", "--", "compare")
    folder = project.folder / "results/compare/one+other"
    rows = rows_of(folder / "table.csv")
    own = rows_of(project.results / "table.csv")
    assert rows == [{"experiment": name} | row for name in ("one", "other") for row in own]
    differing = rows_of(folder / "differences.csv")
    assert differing == [
        {
            "setting": "threshold.share",
            "one": "0.35",
            "other": "0.5",
            "where": "em/iteration-1/label_sets/video_prior",
        }
    ]
    assert told.count((folder / "table.log").read_text()) == 1
    # Nothing of the experiments themselves was made again, whatever the settings of this run.
    assert project.wanted() == set()


def test_an_ablation_of_nothing_is_refused(project):
    with pytest.raises(AssertionError, match="ablation: name variations, data and seeds"):
        project.run("--", "ablation")


def test_a_damaged_json_is_named_at_the_start(project):
    path = project.results / "table.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(
        AssertionError, match=r"results/small/table\.json: not whole JSON .*delete it"
    ):
        project.wanted()


def test_a_deleted_figure_is_drawn_again(project):
    (project.results / "figures/timeline.svg").unlink()
    assert project.wanted() == FIGURES | PAGE


def test_an_experiment_that_is_not_finished_cannot_be_compared(project):
    with pytest.raises(AssertionError, match=r"'none' has no results/none/table\.csv; finish it"):
        project.run("--config", "experiments=[small, none]", "--", "compare")


# As from scratch --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def short(finished, tmp_path_factory):
    """The shortest run: one iteration of the fastest model on one chunk a split."""
    project = copied(finished, tmp_path_factory.mktemp("short") / "run", results=False)
    project.configure(iterations(["logistic@video_prior"]))
    project.configure(setting("controls", False))
    project.configure(setting("data.chunks", 1))
    project.run()
    return project


def lose_the_records_and_change_the_rate(project):
    if (project.folder / ".snakemake").exists():
        shutil.rmtree(project.folder / ".snakemake")
    project.configure(setting("models.logistic.training", {"learning_rate": 0.01}))


CHANGES = {
    "threshold": lambda project: project.configure(setting("em.threshold", {"share": 0.5})),
    "member": lambda project: project.configure(
        iterations(["logistic@video_prior", "logistic@label_corrected"])
    ),
    "iteration": lambda project: project.configure(
        iterations(["logistic@video_prior"], ["logistic@video_prior"])
    ),
    "record file": lambda project: (project.folder / "records/train-001.tfrecord").unlink(),
    "code": lambda project: project.edit(
        "segment_em/estimators/video_prior.py", "scores > thresholds", "scores > thresholds / 2"
    ),
    "learning rate, records lost": lose_the_records_and_change_the_rate,
}


@pytest.mark.reruns
@pytest.mark.parametrize("name", CHANGES)
def test_what_is_left_standing_and_what_is_made_again_equals_a_run_from_scratch(
    short, tmp_path, name
):
    """Byte for byte, and different from before, with less work."""
    changed, scratch = copied(short, tmp_path / "a"), copied(short, tmp_path / "b", results=False)
    CHANGES[name](changed)
    CHANGES[name](scratch)
    jobs = [jobs_of(project.run()) for project in (changed, scratch)]
    assert 0 < jobs[0] < jobs[1]
    for file in ("table.csv", "submission.csv"):
        made = (changed.results / file).read_bytes()
        assert made == (scratch.results / file).read_bytes(), file
        assert made != (short.results / file).read_bytes(), file


def jobs_of(log):
    return int(re.search(r"^total +(\d+)$", log, re.M)[1])
