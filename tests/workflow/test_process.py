"""The whole process on tiny simulated data: what the contract promises is there, and right."""

import csv
import json
import re
import shutil
from pathlib import Path

import demo
import numpy as np
import pandas as pd
import pytest
import torch
from independent_map import mean_average_precision
from test_curves import curves_in
from workflow_runs import snakemake

from segment_em import ensemble
from segment_em.checkpoint import load_weights
from segment_em.class_lists import read_class_list
from segment_em.dataset import Clips, Dequantise
from segment_em.frames import FrameReader
from segment_em.index_files import read_index
from segment_em.labels import read_chunk
from segment_em.prediction_files import read_predictions

pytestmark = pytest.mark.slow

TUNED = ["finetuned", "refit"]
FIRST_ITERATION = ["transformer_early@video_prior", "transformer_late@label_corrected"]
LAST_ITERATION = [*FIRST_ITERATION, "nextvlad@label_corrected", "bigru@label_corrected"]


@pytest.fixture
def results(tiny_run):
    return tiny_run / "results/tiny"


@pytest.fixture
def table(results):
    return pd.read_csv(results / "table.csv")


def chunks(tiny_run, split):
    return sorted((tiny_run / "results/index/tiny" / split).glob("*.h5"))


def test_the_table_has_a_row_for_each_stage_of_each_model_and_for_each_ensemble(table):
    assert list(table) == [
        *("kind", "iteration", "model", "estimation", "stage"),
        *("validation_map", "validation_map_sd", "test_map", "selected"),
    ]
    counts = table.groupby("kind").size().to_dict()
    members, controls = 2 * (1 + 2 + 4), 8
    means = {"teacher": 2, "ensemble": 1, "control_ensemble": 1}
    assert counts == means | {"member": members, "control": controls}
    assert table[["validation_map", "test_map"]].notna().all(axis=None)


def test_test_map_equals_what_an_independent_script_makes_of_the_submission(
    tiny_run, results, table, tmp_path
):
    index = read_index(chunks(tiny_run, "test"))
    known = set(read_class_list(tiny_run / "results/data/tiny/segment_label_ids.csv"))
    video = np.repeat(index.video_ids, np.diff(index.ratings.indptr))
    with open(tmp_path / "ratings.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video_id", "start", "class", "score"])
        columns = (index.ratings.start_second, index.ratings.class_id, index.ratings.positive)
        for row in zip(video, *columns, strict=True):
            if int(row[2]) in known:
                writer.writerow([row[0], int(row[1]), int(row[2]), int(row[3])])
    found = mean_average_precision(results / "submission.csv", tmp_path / "ratings.csv")
    stated = table.loc[table["kind"] == "ensemble", "test_map"].item()
    assert found == pytest.approx(stated, abs=1e-6)


def test_every_member_has_its_weights_with_a_json_beside_them(results):
    for member in LAST_ITERATION:
        for stage in ("pretrained", "finetuned"):
            path = results / "em/iteration-2" / member / f"{stage}.safetensors"
            load_weights(path)
            head = json.loads(path.with_suffix(".json").read_text())
            assert head["stamp"]["final_loss"] == head["stamp"]["epoch_losses"][-1]
            assert set(head["circumstances"]["versions"]) == {"torch", "numpy", "h5py"}


def test_every_training_leaves_its_curves_beside_its_weights(results):
    weights = [path for path in results.rglob("*.safetensors") if path.stem != "selected"]
    assert len(weights) == 2 * (7 + 4) + (4 + 4)  # last members and controls are fine-tuned again
    for path in weights:
        losses = json.loads(path.with_suffix(".json").read_text())["stamp"]["epoch_losses"]
        found = curves_in(path.parent / "events" / path.stem)
        assert [loss for _, loss in found["epoch/loss"]] == pytest.approx(losses)


def test_the_run_ends_with_the_table_and_where_things_lie(tiny_run, tmp_path):
    copy = shutil.copytree(tiny_run, tmp_path / "copy", ignore=shutil.ignore_patterns("locks"))
    ended = snakemake(copy, "--forcerun", "tabulate").stdout.split("(100%) done")[1]
    assert (copy / "results/tiny/table.log").read_text() in ended
    assert "results/tiny/table.csv" in ended
    assert "results/tiny/localisations.csv" in ended
    assert "results/tiny/report.html" in ended


def test_the_selected_model_is_the_best_of_all_so_far(results):
    seen = []
    for i in range(3):
        report = json.loads((results / f"em/iteration-{i}/selected.json").read_text())
        for path in (results / f"em/iteration-{i}").glob("*/validation.json"):
            if path.parent.name != "ensemble":
                seen.append(json.loads(path.read_text())["results"]["finetuned"]["weighted_map"])
        assert report["selected"]["validation_weighted_map"] == max(seen)
        chosen = results.parent.parent / report["selected"]["weights"]
        copy = results / f"em/iteration-{i}/selected.safetensors"
        assert copy.read_bytes() == chosen.read_bytes()


def test_the_mean_of_all_models_so_far_teaches(results):
    expected = set()
    for i, members in enumerate((["logistic"], FIRST_ITERATION, LAST_ITERATION)):
        teacher = results / f"em/iteration-{i}/selected.json"
        of_run = results.parent.parent
        expected |= {f"em/iteration-{i}/{name}/finetuned.safetensors" for name in members}
        found = {file.relative_to(results).as_posix() for file, _ in ensemble.read(teacher).members}
        assert found == expected
        # And so the next E-step was made.
        stamps = list((results / f"em/iteration-{i + 1}/pseudo_labels").glob("*.json"))
        assert bool(stamps) == (i < 2)
        for path in stamps:
            used = set(json.loads(path.read_text())["stamp"]["inputs"])
            assert {f"results/tiny/{file}" for file in expected} <= used
            assert teacher.relative_to(of_run).as_posix() in used
            # One model agrees with itself, several do not.
            assert read_chunk(path.with_suffix(".h5")).scores.spread.any() == (i > 0)


def test_what_joins_has_seen_all_ratings_and_what_is_validated_its_part_only(results):
    for run in (results / "controls/bigru", results / "em/iteration-2" / LAST_ITERATION[0]):
        seen = [json.loads((run / f"{name}.json").read_text())["stamp"] for name in TUNED]
        assert [stamp["config"].pop("validation_fraction") for stamp in seen] == [0.5, None]
        assert seen[0]["config"] == seen[1]["config"]
        assert seen[0]["inputs"] == seen[1]["inputs"]
    for group, runs in (("ensemble", "em/iteration-2"), ("controls/ensemble", "controls")):
        told = json.loads((results / group / "members.json").read_text())["members"]
        paths = [(results / group / member["weights"]).resolve() for member in told]
        assert paths
        assert all(path.name == "refit.safetensors" for path in paths)
        assert {path.parent.parent for path in paths} == {(results / runs).resolve()}


def test_predictions_are_the_weighted_mean_of_the_members(tiny_run, results):
    """Reference: each member's scores of one chunk by a plain forward pass, video by video."""
    path = next((results / "predictions").glob("*.h5"))
    predictions = read_predictions(path)
    index = read_index([tiny_run / "results/index/tiny/test" / path.name])
    # Paths in the index are relative to where the workflow ran.
    index.files[:] = [str(tiny_run / file) for file in index.files]
    clips = Clips(FrameReader(index, 60), 5, None, False)
    models = [
        load_weights(results / "em/iteration-2" / member / "refit.safetensors")[0].eval()
        for member in LAST_ITERATION
    ]
    maps, sds = np.array([validation_of(results, member) for member in LAST_ITERATION]).T
    errors = np.sqrt(sds**2 + sds[maps.argmax()] ** 2)
    weights = np.exp((maps - maps.max()) / errors)
    with torch.inference_mode():
        for row in range(min(5, len(index))):
            batch = clips[np.array([row])]
            features = Dequantise.of(index)(batch)
            scores = [torch.sigmoid(model(features, batch.mask))[0].numpy() for model in models]
            first, stop = predictions.video_indptr[row : row + 2]
            expected = np.average(scores, axis=0, weights=weights)
            np.testing.assert_allclose(predictions.scores[first:stop], expected, atol=1e-5)


def validation_of(results, member):
    """What a fine-tuned member is weighed by, and its standard deviation."""
    path = results / "em/iteration-2" / member / "validation.json"
    finetuned = json.loads(path.read_text())["results"]["finetuned"]
    return finetuned["weighted_map"], finetuned["weighted_map_sd"]


def test_localisations_name_their_classes_and_stay_within_their_videos(tiny_run, results):
    found = pd.read_csv(results / "localisations.csv")
    assert list(found) == ["video_id", "start", "end", "class", "name", "score"]
    assert len(found)
    index = read_index(chunks(tiny_run, "test"))
    frames = dict(zip(index.video_ids, index.modalities["rgb"].frames, strict=True))
    assert (found["end"] <= found["video_id"].map(frames)).all()
    assert (found["start"] < found["end"]).all()
    assert (found["score"] >= 0.05).all()
    assert found["name"].notna().all()


def test_nothing_runs_again_when_nothing_changed(tiny_run):
    assert "Nothing to be done" in snakemake(tiny_run, "--dry-run").stdout


def test_the_preflight_waits_for_the_check_of_the_splits(tmp_path):
    plan = snakemake(tmp_path, "--dry-run", "--", "results/tiny/preflight.csv").stdout
    assert re.search(r"^check_splits +1$", plan, re.M)


def test_how_a_job_computes_repeats_nothing(tiny_run):
    compute = "{threads: 2, gpu: 1, loader_workers: 1, compile: true, state_minutes: 1}"
    plan = snakemake(tiny_run, "--dry-run", "--config", f"compute={compute}").stdout
    assert "Nothing to be done" in plan


def test_jobs_that_train_use_all_their_gpus_and_others_one(tmp_path):
    """A dry run prints the commands."""
    arguments = ("--dry-run", "--printshellcmds", "--config", "compute={gpu: 3, state_minutes: 9}")
    printed = snakemake(tmp_path, *arguments).stdout.splitlines()
    lines = [line.removeprefix("Shell command: ") for line in printed if ".py" in line]
    commands = [line.split() for line in lines]
    promised = {}
    for words in commands:
        held = None
        if words[1].endswith("on_gpus.py"):
            held, words = words[2], words[3:]
        scripts = [Path(word).stem for word in words if word.endswith(".py")]
        script = next(name for name in scripts if name != "on_processes")
        assert held == (words[words.index("--gpus") + 1] if "--gpus" in words else None)
        promised.setdefault(script, set()).add((Path(words[1]).stem, held))
        if words[1].endswith("on_processes.py"):
            assert words[2] == "3"
            assert words[words.index("--state-minutes") + 1] == "9.0"
    for script in ("pretrain", "maximise", "finetune"):
        assert promised[script] == {("on_processes", "3")}
    for script in ("estimate", "evaluate", "predict"):
        assert promised[script] == {(script, "1")}
    assert promised["select_model"] == {("select_model", None)}


def test_jobs_promised_gpus_run_on_the_cpu_where_there_is_none(tiny_run, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    weights = "results/tiny/em/iteration-0/logistic/finetuned.safetensors"
    done = snakemake(tmp_path, "--config", "compute={gpu: 2}", "--", weights)
    assert done.returncode == 0, done.stdout[-4000:]
    assert (tmp_path / weights).read_bytes() == (tiny_run / weights).read_bytes()


def test_no_training_state_is_left(results):
    assert not list(results.glob("**/.*"))


def test_another_threshold_repeats_no_inference(tiny_run):
    fewer = ("--resources", "gpu=0")
    plan = snakemake(
        tiny_run, "--dry-run", *fewer, "--config", "em={threshold: {share: 0.5, delta: 0.8}}"
    ).stdout
    assert "em.threshold: class_quantile does not take delta: without effect" in plan
    assert "gpu=0 leaves a job 0 of the 1 GPUs of compute.gpu: it computes on the CPU" in plan
    jobs = plan.split("Job stats:")[1]
    assert "threshold" in jobs
    assert "index" not in jobs.split("Reasons")[0]
    # Iteration 1's E-step stands; iteration 2's has a new teacher.
    assert "E-step 2: score the segments" in plan
    assert "E-step 1: score the segments" not in plan


def test_the_logs_of_a_run_tell_its_time_inside_training_and_scoring(tiny_run):
    trained = [*tiny_run.rglob("pretrain.log"), *tiny_run.rglob("maximise.log")]
    trained += tiny_run.rglob("finetune.log")
    scored = [path for path in tiny_run.rglob("*.log") if path.stem in ("validation", "test")]
    assert trained
    assert scored
    assert all("trained: " in path.read_text() for path in trained)
    assert demo.seconds_inside(tiny_run) > 0


@pytest.mark.reruns
def test_the_same_seed_gives_the_same_bytes(tiny_run, tmp_path):
    done = snakemake(tmp_path)
    assert done.returncode == 0, done.stdout[-4000:]
    compared = 0
    for pattern in ("table.csv", "submission.csv", "localisations.csv", "em/**/*.safetensors"):
        for path in (tiny_run / "results/tiny").glob(pattern):
            twin = tmp_path / path.relative_to(tiny_run)
            assert twin.read_bytes() == path.read_bytes(), path
            compared += 1
    # Tables, two stages of each member, refits of the last iteration, and what was selected.
    assert compared == 3 + 2 * 7 + len(LAST_ITERATION) + 3
