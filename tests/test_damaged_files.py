"""Files that are cut, changed, of another version or not ours: refused in a line that names it."""

import io
import json
import random
import resource
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from segment_em import (
    hdf5,
    label_set_files,
    label_sets,
    labels,
    prediction_files,
    pseudo_label_files,
)
from segment_em.checkpoint import Specification, load_weights, save_weights
from segment_em.errors import InputError
from segment_em.index_files import read_index, write_index
from segment_em.provenance import METADATA_KEY
from segment_em.tables import write_table

CLASSES = np.array([3, 8, 20])


def write_index_file(path, index):
    write_index(path, index, {})


def write_labels_file(path, index):
    scores_NC = np.random.default_rng(0).random((5, 3), np.float32)
    scores = pseudo_label_files.sparse_scores(
        scores_NC, scores_NC > 0.9, 0.0, 3, np.zeros_like(scores_NC)
    )
    pseudo_label_files.write_pseudo_labels(
        path, scores, ["a", "b"], np.array([0, 3, 5]), CLASSES, {}
    )


def write_predictions_file(path, index):
    parts = [np.random.default_rng(0).random((5, 3), np.float32)]
    prediction_files.write_predictions(path, parts, ["a", "b"], np.array([12, 7]), CLASSES, 5, {})


def read_labels(path):
    chunk = labels.read_chunk(path)
    labels.check_entries(chunk)
    return chunk


KINDS = {
    "index": (write_index_file, lambda path: read_index([path])),
    "labels": (write_labels_file, read_labels),
    "predictions": (write_predictions_file, prediction_files.read_predictions),
}


@pytest.fixture(params=KINDS)
def kind(request, tmp_path, small_index):
    """A whole file and what reads it."""
    write, read = KINDS[request.param]
    path = tmp_path / "000.h5"
    write(path, small_index)
    read(path)
    return path, read


def datasets(path):
    found = []
    with h5py.File(path) as file:
        file.visititems(lambda name, o: found.append(name) if isinstance(o, h5py.Dataset) else None)
    return found


def refused(path, read):
    """The message with which a file is refused: one line that names it."""
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


@pytest.mark.parametrize("key", ["encoding-type", "encoding-version"])
def test_another_type_or_version_is_named_beside_what_is_read(kind, key):
    path, read = kind
    with h5py.File(path, "a") as file:
        file.attrs[key] = "9.0"
    assert "9.0" in refused(path, read)


def test_a_file_cut_anywhere_is_refused(kind):
    path, read = kind
    content = path.read_bytes()
    for size in range(0, len(content) - 1, max(1, len(content) // 97)):
        path.write_bytes(content[:size])
        refused(path, read)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"\x80\x04K\x01.", b"<html>"])
def test_a_file_of_another_kind_is_refused(kind, content):
    path, read = kind
    path.write_bytes(content)
    assert "not a readable HDF5 file" in refused(path, read)


def test_a_missing_file_is_named(tmp_path):
    for _, read in KINDS.values():
        refused(tmp_path / "none.h5", read)


def test_each_dataset_that_is_missing_short_or_of_another_type_is_named(kind, tmp_path):
    path, read = kind
    changed = tmp_path / "changed.h5"
    for key in datasets(path):
        for change in ("missing", "short", "another type", "compressed"):
            shutil.copy(path, changed)
            with h5py.File(changed, "a") as file:
                values = file[key][...]
                if change == "compressed" and (not values.size or values.dtype == object):
                    continue
                del file[key]
                if change == "short":
                    file[key] = values[:-1]
                elif change == "another type":
                    file[key] = values.astype("S9") if values.dtype.kind in "iufb" else [1.5]
                elif change == "compressed":
                    file.create_dataset(key, data=values, compression="gzip")
            try:
                message = refused(changed, read)
            except pytest.fail.Exception:
                # What is read into memory may be compressed; class lists have no fixed length.
                assert change == "compressed" or (change, key) == ("short", "classes"), key
                continue
            assert change in ("short", "compressed") or key in message


def test_a_file_with_flipped_bytes_is_refused_or_of_the_right_form(kind, tmp_path):
    path, read = kind
    content = path.read_bytes()
    draw, outcomes = random.Random(0), set()
    for _ in range(400):
        changed = bytearray(content)
        for _ in range(draw.choice((1, 1, 4))):
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
        (tmp_path / "changed.h5").write_bytes(changed)
        try:
            read(tmp_path / "changed.h5")
            outcomes.add("read")
        except InputError as problem:
            outcomes.add("two lines" if "\n" in str(problem) else "refused")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize(
    ("name", "key", "value", "expected"),
    [
        ("labels", "scores", np.nan, "scores from nan to nan, expected 0 to 1"),
        ("labels", "scores", 2.0, "expected 0 to 1"),
        ("labels", "spread", np.nan, "spread from nan to nan, expected 0 to 0.5"),
        ("labels", "spread", 0.75, "spread from 0.0 to 0.75, expected 0 to 0.5"),
        ("labels", "indices", 3, "columns from 0 to 3, expected 0 to 2"),
        ("labels", "indices", -1, "columns from -1 to 2, expected 0 to 2"),
        ("labels", "indptr", 9, "indptr must rise"),
        ("labels", "videos/indptr", 9, "videos/indptr must rise"),
        ("predictions", "scores", np.nan, "scores from nan to nan in segments 0 to 4"),
        ("predictions", "scores", -0.5, "scores from -0.5 to "),
        ("predictions", "videos/frames", 900, "do not make the segments of videos/indptr"),
        ("predictions", "videos/indptr", 9, "videos/indptr must rise"),
    ],
)
def test_values_that_cannot_be_are_refused(tmp_path, name, key, value, expected):
    write, read = KINDS[name]
    write(tmp_path / "000.h5", None)
    with h5py.File(tmp_path / "000.h5", "a") as file:
        place = (1, 1) if file[key].ndim == 2 else 1
        file[key][place] = value
    assert expected in refused(tmp_path / "000.h5", read)


def test_chunks_of_other_classes_are_refused(tmp_path):
    for write, read_all in (
        (write_labels_file, lambda paths: list(labels.read_chunks(paths))),
        (write_predictions_file, prediction_files.read_all_predictions),
    ):
        paths = [tmp_path / "000.h5", tmp_path / "001.h5"]
        for path in paths:
            write(path, None)
        with h5py.File(paths[1], "a") as file:
            file["classes"][0] = 4
        with pytest.raises(InputError, match=r"001\.h5: 3 classes"):
            read_all(paths)


def test_too_many_open_files_are_not_taken_for_damage(tmp_path):
    write_labels_file(tmp_path / "000.h5", None)
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, allowed[1]))
    try:
        with pytest.raises(InputError, match=r"000\.h5: .*Too many open files.*ulimit -n") as told:
            labels.read_chunk(tmp_path / "000.h5")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)
    assert "delete" not in str(told.value)


def test_a_file_that_the_system_refuses_is_not_taken_for_damage(tmp_path):
    (tmp_path / "000.h5").mkdir()
    with pytest.raises(InputError, match=r"000\.h5: cannot be read \(Is a directory\)") as told:
        labels.read_chunk(tmp_path / "000.h5")
    assert "delete" not in str(told.value)


def read_and(path, then):
    with hdf5.opened(path) as file:
        assert file["scores"][...].size
        then(file)


@pytest.mark.parametrize("mistake", [KeyError("mine"), RuntimeError("mine")])
def test_a_mistake_of_the_code_that_reads_is_not_taken_for_damage(tmp_path, mistake):
    write_labels_file(tmp_path / "000.h5", None)

    def fail(_):
        raise mistake

    with pytest.raises(type(mistake), match="mine"):
        read_and(tmp_path / "000.h5", fail)


def test_what_h5py_does_not_find_is_damage(tmp_path):
    write_labels_file(tmp_path / "000.h5", None)
    with pytest.raises(InputError, match=r"000\.h5: not a readable HDF5 file .*other.*: delete it"):
        read_and(tmp_path / "000.h5", lambda file: file["other"])


def made_label_set(path):
    return label_sets.label_set([path], "label_corrected", "fixed", {"delta": 0.4}, None, 0.0)


def test_damaged_scores_never_become_a_label_set(tmp_path):
    write_labels_file(tmp_path / "000.h5", None)
    with h5py.File(tmp_path / "000.h5", "a") as file:
        file["scores"][2] = np.nan
    with pytest.raises(InputError, match=r"000\.h5: scores from nan"):
        made_label_set(tmp_path / "000.h5")


def with_sums(text, value):
    table = pd.read_csv(io.StringIO(text))
    return table.assign(score_sum=value).to_csv(index=False, lineterminator="\n")


def changed_label_set(path, change):
    """A whole label set, and then what `change` makes of its text."""
    write_labels_file(path.with_suffix(".h5"), None)
    table = made_label_set(path.with_suffix(".h5"))
    write_table(path, table)
    pd.testing.assert_frame_equal(pd.DataFrame(label_set_files.read(path)), table)
    path.write_text(change(path.read_text()))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: "", "cut short"),
        (lambda text: text[:-2], "cut short"),
        (lambda text: "\n", "cut short"),
        (lambda text: text.splitlines()[0] + "\n", "column class is not of integers"),
        (lambda text: text[: text.rindex(",")] + "\n", "not a table of numbers"),
        (lambda text: text.replace("threshold_others", "other"), "no column threshold_others"),
        (lambda text: text.replace(",5\n", ",\n", 1), "column segments is not of integers"),
        (lambda text: text.replace(",5\n", ",50\n", 1), "segments are not the same number in each"),
        (lambda text: text.replace(",5\n", ",1\n"), "at least positives"),
        (lambda text: text.replace("0.4,", "high,"), "column threshold_others is not of numbers"),
        (lambda text: with_sums(text, -3), "column score_sum is not from 0 to positives"),
        (lambda text: with_sums(text, 30), "column score_sum is not from 0 to positives"),
    ],
)
def test_a_label_set_that_was_cut_or_changed_is_refused(tmp_path, change, told):
    path = tmp_path / "label_corrected.csv"
    changed_label_set(path, change)
    with pytest.raises(InputError, match=rf"label_corrected\.csv: .*{told}.*: delete it to make"):
        label_set_files.read(path)


@pytest.mark.parametrize("class_ids", [[3, 8, 20, 21], [3, 8, 21]])
def test_a_label_set_of_other_classes_is_refused(tmp_path, class_ids):
    write_labels_file(tmp_path / "000.h5", None)
    expected = rf"000\.h5: 3 classes that are not the {len(class_ids)} of the label set"
    with pytest.raises(InputError, match=expected):
        labels.PseudoLabels([tmp_path / "000.h5"], ["a"], [3], None, class_ids, np.zeros(3))


# Weights.

SPECIFICATION = Specification(
    "logistic", {"fusion": "early", "context": 0}, [["rgb", 8]], [3, 8], 5
)


@pytest.fixture
def weights(tmp_path):
    save_weights(tmp_path / "w.safetensors", SPECIFICATION.build(), SPECIFICATION, {}, "cpu")
    return tmp_path / "w.safetensors"


def described(path, head):
    """Weights with another description."""
    save_file(SPECIFICATION.build().state_dict(), path, {METADATA_KEY: head})


def head(**changes):
    model = {
        "architecture": "logistic",
        "options": {"fusion": "early", "context": 0},
        "features": [["rgb", 8]],
        "class_ids": [3, 8],
        "segment_frames": 5,
    }
    return json.dumps({"format": 1, "model": model | changes, "stamp": {}})


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("{", "damaged description"),
        (json.dumps({"format": 1}), "incomplete description"),
        (json.dumps({"format": 9}), "weights format 9, this version reads 1; train it again"),
        (head(architecture="lstm"), "cannot build its model .*no architecture 'lstm'"),
        (
            head(architecture="bigru", options={"fusion": "early"}),
            "cannot build its model .*layers",
        ),
        (
            head(options={"fusion": "early", "context": 0, "heads": 2}),
            "cannot build its model .*heads",
        ),
        (head(class_ids=[3, 8, 20]), "do not fit their own description"),
        (head(features=[["rgb", 16]]), "do not fit their own description"),
    ],
)
def test_weights_that_are_not_what_they_say_are_refused(tmp_path, description, expected):
    described(tmp_path / "w.safetensors", description)
    with pytest.raises(InputError, match=rf"w\.safetensors: .*{expected}") as caught:
        load_weights(tmp_path / "w.safetensors")
    assert "\n" not in str(caught.value)


def test_weights_with_flipped_bytes_are_refused_or_load_as_finite_numbers(weights, tmp_path):
    content, draw, refusals = weights.read_bytes(), random.Random(0), []
    for _ in range(300):
        changed = bytearray(content)
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
        (tmp_path / "changed.safetensors").write_bytes(changed)
        try:
            model, _ = load_weights(tmp_path / "changed.safetensors")
        except InputError as problem:
            refusals.append(str(problem))
        else:
            assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())
    assert refusals
    assert not any("\n" in message for message in refusals)
