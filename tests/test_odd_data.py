"""Odd but legal data through the whole process, each with what docs/data.md says of it."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from small_models import SMALL

from segment_em import (
    calibration,
    estimation,
    evaluation,
    labels,
    outputs,
    prediction,
    ratings_table,
    scoring,
    selection,
    shown_videos,
    stages,
)
from segment_em.candidates import Comparison
from segment_em.errors import InputError
from segment_em.index import in_validation
from segment_em.index_files import read_index, write_index
from segment_em.indexing import build_index
from segment_em.label_sets import label_set
from segment_em.provenance import Job, TrainingJob
from segment_em.records import Ratings, encode_example, write_records

FEATURES = {"rgb": 8, "audio": 4}
CLASSES = [3, 8, 20]
JOB = Job(config={}, inputs=[], threads=1, workers=0, gpus=0)
TRAINING = TrainingJob(*JOB.__dict__.values(), state_minutes=60, compile=False)
SCORED = scoring.Inference(max_frames=300, segment_frames=5, precision="float32", videos=4)
MEASURE = evaluation.Measure(top_segments=100_000, replicates=5, seed=0)


def video(video_id, frames=12, labels=(3,), ratings=(), audio=None):
    """A payload. ratings: (start, class, score) of each. audio: frames of it, if not as many."""
    random = np.random.default_rng(frames)
    counts = {"rgb": frames, "audio": frames if audio is None else audio}
    arrays = {
        name: random.integers(0, 256, (counts[name], width), np.uint8)
        for name, width in FEATURES.items()
    }
    columns = list(zip(*ratings, strict=True)) or [(), (), ()]
    rated = Ratings(*map(np.array, columns, (np.int64, np.int64, np.float32)))
    return encode_example(video_id, np.array(labels, np.int64), arrays, rated if ratings else None)


RATED = [(0, 3, 1), (5, 3, 0), (5, 8, 1), (0, 20, 1)]


def some(kind, count=6, **changes):
    """Plain videos of some kind of split."""
    given = {"labels": (3, 8, 20)} | ({} if kind == "train" else {"ratings": RATED}) | changes
    return [video(f"{kind}{number}", 10 + number, **given) for number in range(count)]


def settings(architecture, **changes):
    given = {
        "architecture": architecture,
        "options": SMALL[architecture],
        "features": [list(pair) for pair in FEATURES.items()],
        "max_frames": 300,
        "segment_frames": 5,
        "learning_rate": 0.01,
        "batch": 4,
        "epochs": 1,
        "average_epochs": 0,
        "decay": "linear",
        "least_steps": 0,
        "clip_norm": 1.0,
        "precision": "float32",
        "seed": 0,
    }
    return stages.Training(**given | changes)


class Process:
    """Algorithm 1 with one model, stage by stage, on three splits of payloads."""

    def __init__(self, folder, train=None, rated=None, test=None, classes=CLASSES):
        self.folder, self.classes = folder, folder / "classes.csv"
        self.classes.write_text("Index\n" + "\n".join(map(str, classes)) + "\n")
        payloads = {"train": train, "rated": rated, "test": test}
        self.index = {}
        for split, given in payloads.items():
            path = folder / f"{split}.tfrecord"
            write_records(path, some(split) if given is None else given)
            self.index[split] = folder / f"{split}.h5"
            write_index(self.index[split], build_index([path], FEATURES, 5), {})

    def train(self, architecture="transformer"):
        pretrained, tuned = self.folder / "pretrained.safetensors", self.folder / "w.safetensors"
        model = settings(architecture)
        stages.pretrain(model, "mean", [self.index["train"]], self.classes, pretrained, TRAINING)
        rated = [self.index["rated"]]
        stages.finetune(model, 0.3, 0.0, pretrained, rated, tuned, TRAINING)
        return tuned

    def estimate(self, weights):
        path = self.folder / "labels.h5"
        estimation.estimate(weights, self.index["train"], 0.0, 20, path, SCORED, JOB)
        return path

    def predict(self, weights):
        path = self.folder / "predictions.h5"
        prediction.predict(weights, self.index["test"], path, SCORED, JOB)
        return path

    def evaluate(self, weights, split="test", fraction=None):
        out = self.folder / f"{split}.json"
        inputs = ({"model": weights}, [self.index[split]], fraction, out)
        evaluation.evaluate_models(*inputs, ratings_table.beside(out), SCORED, MEASURE, JOB)
        return json.loads(out.read_text())["results"]["model"]

    def run(self, architecture="transformer"):
        """Everything; returns what the files say."""
        weights = self.train(architecture)
        chunk = labels.read_chunk(self.estimate(weights))
        table = label_set([chunk.path], "video_prior", "fixed", {"delta": 0.0}, None, 0.0)
        predicted = self.predict(weights)
        index, files = [self.index["test"]], [predicted]
        outputs.submit(index, files, 100_000, self.folder / "submission.csv")
        outputs.localise(index, files, None, 0.0, self.folder / "found.csv")
        with open(self.folder / "found.csv", newline="", encoding="utf-8") as file:
            found = list(csv.DictReader(file))
        submission = (self.folder / "submission.csv").read_text(encoding="utf-8").splitlines()
        return SimpleNamespace(
            result=self.evaluate(weights),
            chunk=chunk,
            table=table.set_index("class"),
            predictions=outputs.read_all_predictions(files)[0],
            found=found,
            submission=dict(line.split(",", 1) for line in submission[1:]),
        )


def ends(found, video_id):
    """Where the last interval of each class of a video ends; the threshold was 0."""
    return {int(row["end"]) for row in found if row["video_id"] == video_id}


@pytest.mark.parametrize("architecture", sorted(SMALL))
@pytest.mark.parametrize(("frames", "segments"), [(1, 1), (4, 1), (5, 1), (6, 2), (301, 60)])
def test_a_video_of_any_length_has_a_segment_for_each_begun_five_frames(
    tmp_path, architecture, frames, segments
):
    odd = video("odd", frames, ratings=RATED)
    splits = {split: [*some(split), odd] for split in ("train", "rated", "test")}
    told = Process(tmp_path, **splits).run(architecture)
    # In the order of (file, offset), so the odd one is the last; 301 frames are cut at 300.
    assert np.diff(told.predictions.video_indptr)[-1] == segments
    assert np.diff(told.chunk.video_indptr)[-1] == segments
    assert ends(told.found, "odd") == {min(frames, 300)}
    assert all(line.count("odd:") == segments for line in told.submission.values())


@pytest.mark.parametrize(("rgb", "audio"), [(12, 7), (7, 12), (12, 0)])
def test_modalities_of_different_length_have_the_segments_of_the_first(tmp_path, rgb, audio):
    odd = video("odd", rgb, audio=audio, ratings=RATED)
    splits = {split: [*some(split), odd] for split in ("train", "rated", "test")}
    told = Process(tmp_path, **splits).run()
    assert np.diff(told.predictions.video_indptr)[-1] == -(-rgb // 5)
    assert ends(told.found, "odd") == {rgb}


def test_a_video_without_frames_has_no_segments_and_ends_nothing(tmp_path):
    odd = video("odd", 0, audio=9, ratings=RATED)
    splits = {split: [*some(split), odd] for split in ("train", "rated", "test")}
    told = Process(tmp_path, **splits).run()
    assert np.diff(told.predictions.video_indptr)[-1] == 0
    assert ends(told.found, "odd") == set()


def test_videos_without_labels_are_trained_on_as_negatives(tmp_path):
    told = Process(tmp_path, train=[*some("train"), video("odd", labels=())]).run()
    assert told.table["videos"].tolist() == [6, 6, 6]


def test_no_video_with_a_label_of_the_class_list_is_refused(tmp_path):
    process = Process(tmp_path, train=some("train", labels=(99,)))
    with pytest.raises(InputError, match="no video of the train split carries any of these 3"):
        process.train()


def test_labels_outside_the_class_list_have_no_column(tmp_path):
    told = Process(tmp_path, train=some("train", labels=(3, 8, 20, 99))).run()
    assert told.table.index.tolist() == CLASSES
    assert read_index([tmp_path / "train.h5"]).labels.indices.max() == 99


def test_fine_tuning_without_any_rating_is_refused_with_the_key(tmp_path):
    process = Process(tmp_path, rated=some("rated", ratings=()))
    with pytest.raises(InputError, match=r"no rated segment of these classes; check data\.segm"):
        process.train()


def test_a_test_set_without_ratings_is_localised_and_has_no_map(tmp_path):
    told = Process(tmp_path, test=some("test", ratings=())).run()
    assert told.result["map"] is None
    assert len(told.found) >= 6 * 3


def test_a_class_without_positives_has_no_ap_and_is_left_out_of_the_mean(tmp_path):
    told = Process(tmp_path, test=some("test", ratings=[(0, 3, 1), (5, 3, 0), (0, 8, 0)])).run()
    assert told.result["ap"]["8"] is None
    assert told.result["ap"]["20"] is None
    assert told.result["map"] == told.result["ap"]["3"]


def test_a_class_that_no_training_video_carries_is_scored_like_the_others(tmp_path):
    told = Process(tmp_path, train=some("train", labels=(3,))).run()
    assert told.table.loc[20, ["videos", "positives"]].tolist() == [0, 0]
    assert told.submission["20"].count(":") == len(told.predictions.scores)


def test_a_class_that_is_never_predicted_has_no_interval_and_counts_in_the_map(tmp_path):
    process = Process(tmp_path)
    weights = process.train()
    path = process.predict(weights)
    top = float(outputs.read_all_predictions([path])[0].scores[:, 0].max())
    outputs.localise([process.index["test"]], [path], None, min(1, top + 1e-3), tmp_path / "f.csv")
    rows = (tmp_path / "f.csv").read_text().splitlines()[1:]
    assert not [row for row in rows if row.split(",")[3] == "3"]
    assert process.evaluate(weights)["ap"]["3"] is not None


def test_ratings_past_the_end_count_as_positives_that_nobody_finds(tmp_path):
    told = Process(tmp_path, test=some("test", 1, ratings=[(0, 3, 1), (600, 3, 1)])).run()
    assert told.result["positives"] == 2
    assert told.result["ap"]["3"] == 0.5


def test_ratings_that_disagree_are_not_used_and_equal_ones_count_once(tmp_path):
    twice = [(0, 3, 1), (0, 3, 0), (5, 8, 1), (5, 8, 1)]
    told = Process(tmp_path, test=some("test", 1, ratings=twice)).run()
    assert (told.result["ratings"], told.result["positives"]) == (1, 1)
    assert told.result["ap"]["3"] is None
    assert read_index([tmp_path / "test.h5"]).ratings.contradictory.tolist() == [1]


def rated_names():
    """An id that falls to fine-tuning and one that falls to validation."""
    names = list(map(str, range(99)))
    validates = in_validation(names, 0.3)
    return [next(n for n, v in zip(names, validates, strict=True) if v == side) for side in (0, 1)]


def test_one_video_on_each_side_is_enough(tmp_path):
    process = Process(
        tmp_path,
        train=[video("a", 12)],
        rated=[video(name, 12, ratings=RATED) for name in rated_names()],
        test=[video("b", 12, ratings=RATED)],
    )
    told = process.run()
    assert set(told.submission["3"].split()) == {f"b:{start}" for start in (0, 5, 10)}
    assert process.evaluate(process.train(), "rated", 0.3)["videos"] == 1


def test_a_single_rated_video_leaves_nothing_to_validate_on(tmp_path):
    process = Process(tmp_path, rated=[video(rated_names()[0], 12, ratings=RATED)])
    with pytest.raises(InputError, match="validation: 0 videos without a positive rating"):
        process.evaluate(process.train(), "rated", 0.3)


def test_one_class_is_enough(tmp_path):
    told = Process(tmp_path, classes=[8]).run()
    assert list(told.submission) == ["8"]
    assert told.result["map"] == told.result["ap"]["8"]


def test_ids_in_any_script_come_through(tmp_path):
    names = ["видео", "影片-7", "vidéo", "🎬", "e\u0301", "-_x4Qp"]
    test = [video(name, 12, ratings=RATED) for name in names]
    told = Process(tmp_path, test=test).run()
    assert {row["video_id"] for row in told.found} == set(names)
    assert {part.partition(":")[0] for part in told.submission["3"].split()} == set(names)


def test_one_class_and_a_video_of_one_frame_with_any_id_reach_calibration_and_the_report(tmp_path):
    odd = video("c\r🎬", 1, ratings=[(0, 3, 1), (5, 3, 1)])
    process = Process(tmp_path, rated=[*some("rated"), odd], test=[*some("test"), odd], classes=[3])
    weights = process.train()
    result = process.evaluate(weights, "rated", 1.0)
    selected = tmp_path / "selected.json"
    draws = Comparison("map", replicates=5, seed=0)
    selection.select([tmp_path / "rated.json"], ["model"], None, None, draws, selected, {})
    (one,) = json.loads(selected.read_text())["among"]
    assert (one["validation_map"], one["difference"], one["tie"]) == (result["map"], 0, False)

    table = ratings_table.read(tmp_path / "selected.ratings.csv")
    rated = table.video_ids == "c\r🎬"
    assert table.starts[rated].tolist() == [0, 5]
    assert np.isnan(table.scores["teacher"][rated]).tolist() == [False, True]
    judged = calibration.ScoredRatings(table.scores["teacher"], table.classes, table.positive)
    calibration.calibrate(judged, "class", tmp_path / "calibration.json", {})
    assert calibration.read(tmp_path / "calibration.json").offsets.keys() == {3}

    files = [process.index["test"]], [process.predict(weights)], [process.index["rated"]]
    limits = {"test": 2, "validation": 7}
    shown_videos.choose(*files, 1.0, limits, tmp_path / "videos.csv")
    shown = shown_videos.read_shown(tmp_path / "videos.csv")
    assert len(shown["test"]) == 2
    assert "c\r🎬" in shown["validation"]


def test_a_chunk_without_videos_adds_nothing(tmp_path):
    process = Process(tmp_path)
    weights = process.train()
    whole = process.predict(weights)
    (tmp_path / "empty.tfrecord").touch()
    empty_index, empty = tmp_path / "empty.h5", tmp_path / "empty-scores.h5"
    write_index(empty_index, build_index([tmp_path / "empty.tfrecord"], FEATURES, 5), {})
    prediction.predict(weights, empty_index, empty, SCORED, JOB)
    estimation.estimate(weights, empty_index, 0.0, 20, tmp_path / "empty-labels.h5", SCORED, JOB)
    chunks = [process.estimate(weights), tmp_path / "empty-labels.h5"]
    for indexes, files, out in (
        ([process.index["test"]], [whole], "one"),
        ([process.index["test"], empty_index], [whole, empty], "two"),
    ):
        outputs.submit(indexes, files, 100_000, tmp_path / f"{out}.csv")
        outputs.localise(indexes, files, None, 0.0, tmp_path / f"{out}-found.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert (tmp_path / "one-found.csv").read_bytes() == (tmp_path / "two-found.csv").read_bytes()
    tables = [
        label_set(part, "video_prior", "fixed", {"delta": 0.0}, None, 0.0)
        for part in (chunks[:1], chunks)
    ]
    assert tables[0].equals(tables[1])


def test_a_test_set_without_any_video_gives_files_without_rows(tmp_path):
    told = Process(tmp_path, test=[]).run()
    assert told.found == []
    assert set(told.submission.values()) == {""}
    assert told.result["map"] is None


def test_an_e_step_without_any_positive_names_delta_and_the_highest_score(tmp_path):
    videos = [video(f"train{number}", labels=[CLASSES[number % 3]]) for number in range(6)]
    process = Process(tmp_path, train=videos)
    path = process.estimate(process.train())
    best = float(labels.read_chunk(path).scores.scores.max())
    with pytest.raises(InputError, match=rf"'delta': 0\.999.* highest score is {best:.3f}; lower"):
        label_set([path], "label_corrected", "fixed", {"delta": 0.999}, None, 0.0)
