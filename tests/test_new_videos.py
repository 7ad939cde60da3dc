"""What occurs when in new videos, from an ensemble.json and weights alone.

The reference scores each video by itself and merges by walking through its segments.
"""

import csv
import json
import shutil

import h5py
import numpy as np
import pytest
import torch
from small_records import FEATURES, MORE_VIDEOS, VIDEOS, video_frames, write_small_records
from test_localisation import by_loop

from segment_em import ensemble, lineage, new_videos
from segment_em.checkpoint import Specification, load_weights, save_weights
from segment_em.code_digest import loaded_digests
from segment_em.errors import InputError
from segment_em.indexing import build_index
from segment_em.provenance import Job

CLASS_IDS = [3, 8, 20]
NAMES = {3: "Guitar", 20: "Rock, Paper"}
MAX_FRAMES, THRESHOLD = 25, 0.5
RMS = {"rgb": 1.15, "audio": 1.15}  # of bytes that are spread evenly over -2 to 2
JOB = Job(config={}, inputs=[], threads=1, workers=0, gpus=0)
PLAIN = {"join": "mean", "video_filter": 0.0, "shifts": [0]}


@pytest.fixture
def run_folder(tmp_path):
    return make_run(tmp_path / "results/run", {})


def make_run(folder, stamp):
    """A folder as a run leaves it: two members, how much each counts, and the description."""
    members = []
    for seed, weight in ((0, 0.75), (1, 0.25)):
        torch.manual_seed(seed)
        options = {"fusion": "early", "layers": 1, "hidden": 4, "dropout": 0.0}
        features = [list(pair) for pair in FEATURES.items()]
        specification = Specification("bigru", options, features, CLASS_IDS, 5)
        path = folder / f"em/{seed}.safetensors"
        save_weights(path, specification.build(), specification, stamp, "cpu")
        members.append({"weights": f"../em/{seed}.safetensors", "weight": weight})
    (folder / "ensemble").mkdir()
    (folder / "ensemble/members.json").write_text(json.dumps({"members": members} | PLAIN))
    inference = {"max_frames": MAX_FRAMES, "segment_frames": 5, "precision": "float32"}
    description = ensemble.Description(inference, THRESHOLD, RMS, NAMES)
    ensemble.describe(folder / "ensemble/members.json", description, folder / "ensemble.json", {})
    return folder


def localise(path, patterns, threshold, out, videos, job=JOB):
    new_videos.localise(path, patterns, threshold, out, f"{out}.how.json", videos, job)


def expected_rows(folder, names, threshold=THRESHOLD):
    """What should be found in videos of small_records, in the order of `names`."""
    models = [load_weights(folder / f"em/{seed}.safetensors")[0].eval() for seed in (0, 1)]
    scores, frames = [], []
    for name in names:
        features, masks = {}, {}
        for modality, stored_TF in video_frames(name).items():
            values = torch.from_numpy(stored_TF[:MAX_FRAMES]).float() * 4 / 255 + 4 / 512 - 2
            masks[modality] = len(values)
            length = -(-masks[next(iter(masks))] // 5) * 5
            padded = torch.zeros(1, max(length, 5), stored_TF.shape[1])
            padded[0, : len(values)] = values
            features[modality] = padded
        count = masks[next(iter(FEATURES))]
        mask = torch.arange(features["rgb"].shape[1])[None] < count
        with torch.inference_mode():
            both = [torch.sigmoid(model(features, mask))[0].numpy() for model in models]
        scores.append((0.75 * both[0] + 0.25 * both[1])[: -(-count // 5)])
        frames.append(count)
    merged = by_loop(np.concatenate(scores), frames, 5, threshold)
    return [
        (names[v], start, end, CLASS_IDS[column], NAMES.get(CLASS_IDS[column], ""), score)
        for v, start, end, column, score in merged
    ]


def found_in(path):
    with open(path, encoding="utf-8", newline="") as file:
        return [
            (r["video_id"], int(r["start"]), int(r["end"]), int(r["class"]), r["name"], r["score"])
            for r in csv.DictReader(file)
        ]


def assert_same(found, expected):
    assert [row[:5] for row in found] == [row[:5] for row in expected]
    assert [float(row[5]) for row in found] == pytest.approx([row[5] for row in expected], abs=1e-5)


@pytest.fixture
def records(tmp_path):
    """Two record files, and their videos in the order of the files."""
    write_small_records(tmp_path / "new1.tfrecord", VIDEOS)
    write_small_records(tmp_path / "new2.tfrecord", MORE_VIDEOS)
    return tmp_path, [*VIDEOS, *MORE_VIDEOS]


def test_weights_of_another_run_are_refused(run_folder, records):
    shutil.copy(run_folder / "em/0.safetensors", run_folder / "em/1.safetensors")
    with pytest.raises(InputError, match=r"em/1\.safetensors: other weights than .*ensemble\.json"):
        localise(run_folder / "ensemble.json", [f"{records[0]}/new*"], None, "found.csv", 3)


def test_weights_that_were_not_copied_are_told(run_folder, records):
    (run_folder / "em/1.safetensors").unlink()
    with pytest.raises(InputError, match=r"em/1\.safetensors: no such file.* copy it along"):
        localise(run_folder / "ensemble.json", [f"{records[0]}/new*"], None, "found.csv", 3)


@pytest.mark.parametrize("threshold", [None, 0.0, 0.45, 0.55])
def test_new_records_give_the_merged_scores_of_each_video(run_folder, records, threshold):
    folder, names = records
    out = folder / "found.csv"
    patterns = [f"{folder}/new*.tfrecord"]
    localise(run_folder / "ensemble.json", patterns, threshold, out, 3)
    expected = expected_rows(run_folder, names, THRESHOLD if threshold is None else threshold)
    assert len(expected) > 5
    assert_same(found_in(out), expected)


def test_own_hdf5_features_give_the_same_as_records(run_folder, records):
    folder, names = records
    own_copy(folder / "own.h5", names)
    out = folder / "found.csv"
    localise(run_folder / "ensemble.json", [str(folder / "own.h5")], None, out, 4)
    assert_same(found_in(out), expected_rows(run_folder, names))


def own_copy(path, names, change=lambda frames: frames):
    """The records' values as HDF5 features; change: of the audio's frames, video by video."""
    with h5py.File(path, "w") as file:
        file["video_ids"] = names
        for modality, width in FEATURES.items():
            stored = [video_frames(name)[modality] for name in names]
            stored = [change(one) if modality == "audio" else one for one in stored]
            frames = np.concatenate(stored).reshape(-1, width).astype(np.float32)
            file[f"features/{modality}/frames"] = frames * 4 / 255 + 4 / 512 - 2
            file[f"features/{modality}/indptr"] = np.cumsum([0, *map(len, stored)])


def test_labels_and_ratings_of_new_videos_are_not_looked_at(run_folder, records):
    folder, names = records
    own_copy(folder / "own.h5", names)
    with h5py.File(folder / "own.h5", "a") as file:
        file["labels/indices"] = ["of any kind"]
        file["ratings/indptr"] = [1.5]
    rated = {"a": (12, 12, [3], [(3, 3, 1)])}  # off the grid
    write_small_records(folder / "rated.tfrecord", rated)
    for name, expected in (("own.h5", names), ("rated.tfrecord", ["a"])):
        localise(run_folder / "ensemble.json", [str(folder / name)], None, folder / "found.csv", 4)
        assert_same(found_in(folder / "found.csv"), expected_rows(run_folder, expected))


def test_new_videos_are_not_told_to_change_the_size_of_their_values(run_folder, records, caplog):
    folder, names = records
    own_copy(folder / "own.h5", names, lambda frames: frames * 0 + 127)
    localise(run_folder / "ensemble.json", [str(folder / "own.h5")], None, folder / "found.csv", 4)
    assert "multiply it by" not in caplog.text
    assert "root mean square of 3.06e-05, where models were trained on 1.15" in caplog.text
    build_index([folder / "own.h5"], FEATURES, 5)
    assert "multiply it by" in caplog.text


@pytest.mark.parametrize(("factor", "told"), [(1, False), (1.8, False), (2.2, True), (0.4, True)])
def test_new_videos_on_another_scale_than_the_training_are_told(
    run_folder, records, caplog, factor, told
):
    folder, names = records
    own_copy(folder / "own.h5", names)
    with h5py.File(folder / "own.h5", "a") as file:
        file["features/audio/frames"][...] *= factor
    localise(run_folder / "ensemble.json", [str(folder / "own.h5")], None, folder / "found.csv", 4)
    assert ("--records: values of audio have a root mean square of" in caplog.text) == told
    assert "values of rgb" not in caplog.text


@pytest.mark.parametrize("changed", [False, True])
def test_a_model_that_was_edited_since_its_training_is_told(tmp_path, records, caplog, changed):
    folder, _ = records
    digests = loaded_digests("")
    if changed:
        digests["segment_em/models/bigru.py"] = "0" * 16
    run_folder = make_run(tmp_path / "results/edited", {"code": digests})
    ensemble_json = run_folder / "ensemble.json"
    localise(ensemble_json, [f"{folder}/new1.tfrecord"], None, folder / "found.csv", 4)
    told = "segment_em/models/bigru.py is not what it was when" in caplog.text
    assert told == changed


def test_new_videos_with_far_more_frames_of_one_modality_are_told(run_folder, records, caplog):
    folder, names = records
    own_copy(folder / "own.h5", names, lambda frames: frames.repeat(10, axis=0))
    localise(run_folder / "ensemble.json", [str(folder / "own.h5")], None, folder / "found.csv", 4)
    assert "more or fewer frames of audio than of rgb" in caplog.text


def test_a_run_that_was_copied_elsewhere_works_from_there(run_folder, records, tmp_path):
    folder, names = records
    moved = run_folder.rename(tmp_path / "elsewhere")
    out = folder / "found.csv"
    localise(moved / "ensemble.json", [f"{folder}/new?.tfrecord"], None, out, 4)
    assert_same(found_in(out), expected_rows(moved, names))


def test_what_the_result_came_from_is_told_beside_it(run_folder, records):
    folder, _ = records
    job = Job({}, ensemble.with_members(run_folder / "ensemble.json"), threads=1, workers=0, gpus=0)
    path = folder / "new1.tfrecord"
    localise(run_folder / "ensemble.json", [str(path)], None, folder / "found.csv", 4, job)
    inputs = json.loads((folder / "found.csv.how.json").read_text())["stamp"]["inputs"]
    assert set(inputs) == {
        *(str(run_folder / name) for name in ("ensemble.json", "em/0.safetensors")),
        *(str(run_folder / "em/1.safetensors"), str(path)),
    }
    assert inputs[str(path)] == f"{path.stat().st_size} bytes"


def test_videos_that_are_longer_than_the_models_know_are_counted(run_folder, records, caplog):
    folder, _ = records
    out = folder / "found.csv"
    localise(run_folder / "ensemble.json", [f"{folder}/new1.tfrecord"], None, out, 4)
    assert "1 of 5 videos are longer than 25 s" in caplog.text


# What is refused ----------------------------------------------------------------------------------


def refused(run_folder, patterns, out, threshold=None):
    with pytest.raises(InputError) as error:
        localise(run_folder / "ensemble.json", patterns, threshold, out, 4)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_pattern_that_matches_nothing_is_named(run_folder, tmp_path):
    message = refused(run_folder, [f"{tmp_path}/none*.tfrecord"], tmp_path / "found.csv")
    assert message == f"no file matches '{tmp_path}/none*.tfrecord': check the path"


def test_an_unknown_ending_is_refused_before_anything_is_read(run_folder, tmp_path):
    message = refused(run_folder, [f"{tmp_path}/none"], tmp_path / "found.txt")
    assert "unknown ending '.txt'; give .csv, .json or .parquet" in message


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_that_no_score_can_have_is_refused(run_folder, records, threshold):
    folder, _ = records
    message = refused(run_folder, [f"{folder}/new*"], folder / "found.csv", threshold)
    assert "scores are from 0 to 1" in message


def test_features_with_nan_name_their_video_and_leave_no_file(run_folder, tmp_path):
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file["video_ids"] = ["good", "bad"]
        for modality, width in FEATURES.items():
            frames = np.zeros((20, width), np.float32)
            frames[15] = np.nan
            file[f"features/{modality}/frames"] = frames
            file[f"features/{modality}/indptr"] = [0, 10, 20]
    message = refused(run_folder, [str(tmp_path / "own.h5")], tmp_path / "found.csv")
    assert "own.h5: /features/rgb/frames: value 0 of frame 5 of video 'bad' is not" in message
    assert not list(tmp_path.glob("*found*"))


def test_results_of_one_name_but_different_endings_stand_side_by_side(run_folder, records):
    folder, _ = records
    for name in ("a.json", "a.csv", "a.parquet", "a.json"):
        patterns = [f"{folder}/new1.tfrecord"]
        localise(run_folder / "ensemble.json", patterns, None, folder / name, 4)
        assert lineage.stamp_of(folder / name)["config"] == {}
    rows = json.loads((folder / "a.json").read_text())
    assert len(rows) == len(found_in(folder / "a.csv"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 9}', '{"format": 2}'])
def test_what_is_no_description_of_an_ensemble_is_refused(run_folder, records, text):
    folder, _ = records
    (run_folder / "ensemble.json").write_text(text)
    message = refused(run_folder, [f"{folder}/new1.tfrecord"], folder / "found.csv")
    assert "give results/<experiment>/ensemble.json" in message


def test_members_without_a_description_are_refused(run_folder, records):
    folder, _ = records
    shutil.copy(run_folder / "ensemble/members.json", run_folder / "ensemble.json")
    message = refused(run_folder, [f"{folder}/new1.tfrecord"], folder / "found.csv")
    assert "ensemble format None" in message


def test_a_file_whose_name_looks_like_a_glob_is_taken_as_it_stands(tmp_path):
    write_small_records(tmp_path / "new[1].tfrecord", VIDEOS)
    write_small_records(tmp_path / "new1.tfrecord", VIDEOS)
    found = new_videos.files_of([str(tmp_path / "new[1].tfrecord")])
    assert found == [str(tmp_path / "new[1].tfrecord")]
    assert len(build_index(found, FEATURES, 5)) == 5


def test_files_are_taken_once_and_in_order(tmp_path):
    for name in ("b", "a", "c"):
        (tmp_path / f"{name}.tfrecord").touch()
    found = new_videos.files_of([f"{tmp_path}/[ab].tfrecord", f"{tmp_path}/*.tfrecord"])
    assert found == [f"{tmp_path}/{name}.tfrecord" for name in "abc"]
