"""Ancestry as a tree: reference is a small chain of artefacts whose digests common tools give."""

import hashlib
import json
import shutil

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from segment_em import lineage
from segment_em.errors import InputError


def stamped(inputs, config_digest, **more):
    code = {"segment_em/x.py": "1", "make.py": "2"}
    digests = {"config_digest": config_digest, "code_digest": "c0de"}
    return {"config": {}, "code": code, "inputs": inputs} | digests | more


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@pytest.fixture
def results(tmp_path):
    """records -> index.h5 -> weights; table from weights and index. Paths as jobs record them."""
    folder = tmp_path / "results"
    (folder / "e").mkdir(parents=True)
    record = tmp_path / "train.tfrecord"
    record.write_bytes(b"x" * 12)
    index = folder / "e/index.h5"
    with h5py.File(index, "w") as file:
        for key, value in stamped({"train.tfrecord": "12 bytes"}, "aa").items():
            file.attrs[key] = json.dumps(value)
    weights = folder / "e/w.safetensors"
    stamp = stamped({"results/e/index.h5": digest(index)}, "bb", final_loss=0.25)
    head = json.dumps({"stamp": stamp | {"config": {"seed": 3}}})
    save_file({"a": np.zeros(2)}, weights, metadata={"segment_em": head})
    table = folder / "e/table.csv"
    table.write_text("a\n")
    inputs = {"results/e/w.safetensors": digest(weights), "results/e/index.h5": digest(index)}
    table.with_suffix(".json").write_text(json.dumps({"stamp": stamped(inputs, "cc")}))
    return folder


def tree(path):
    return list(lineage.ancestry(path))


EXPECTED = [
    "  make.py  config cc  code c0de",
    "├─ results/e/w.safetensors  make.py  config bb  code c0de  seed 3  loss 0.25",
    "│  └─ results/e/index.h5  make.py  config aa  code c0de",
    "│     └─ train.tfrecord",
    "└─ results/e/index.h5  (told above)",
]


def test_the_whole_ancestry_is_told_once(results):
    table = results / "e/table.csv"
    assert tree(table) == [f"{table}{EXPECTED[0]}", *EXPECTED[1:]]


def test_a_copy_under_another_name_tells_the_same(results, tmp_path):
    copy = shutil.copytree(results, tmp_path / "elsewhere/kept")
    shutil.rmtree(results)
    assert tree(copy / "e/table.csv")[1:3] == EXPECTED[1:3]


def test_what_changed_or_is_missing_is_named(results):
    (results.parent / "train.tfrecord").write_bytes(b"x" * 13)
    (results / "e/w.safetensors").unlink()
    assert tree(results / "e/table.csv")[1:] == [
        "├─ results/e/w.safetensors  MISSING",
        "└─ results/e/index.h5  make.py  config aa  code c0de",
        "   └─ train.tfrecord  CHANGED: 12 bytes then, 13 bytes now",
    ]


def test_a_changed_artefact_is_named_with_both_digests(results):
    index, old = results / "e/index.h5", digest(results / "e/index.h5")
    with h5py.File(index, "a") as file:
        file.attrs["config_digest"] = json.dumps("dd")
    line = next(line for line in tree(results / "e/table.csv") if "└─ results/e/index.h5" in line)
    assert f"CHANGED: {old} then, {digest(index)} now" in line


def test_many_records_are_told_in_one_line(results):
    names = [f"r{n}.tfrecord" for n in range(5)]
    for name in names:
        (results.parent / name).write_bytes(b"12")
    path = results / "e/many.csv"
    path.write_text("a\n")
    stamp = stamped(dict.fromkeys(names, "2 bytes"), "ee")
    path.with_suffix(".json").write_text(json.dumps({"stamp": stamp}))
    assert tree(path)[1:] == ["└─ 5 files: r0.tfrecord ... r4.tfrecord"]


def test_what_is_no_result_is_refused_in_a_line(tmp_path):
    (tmp_path / "x.csv").write_text("a\n")
    with pytest.raises(InputError, match=r"x\.csv: not a result of this workflow"):
        tree(tmp_path / "x.csv")
    with pytest.raises(InputError, match=r"y\.csv: no such file"):
        tree(tmp_path / "y.csv")


def test_a_damaged_artefact_is_named(results):
    path = results / "e/index.h5"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"index\.h5: not a whole HDF5 file"):
        tree(path)


def test_the_folder_of_an_experiment_may_have_another_name(results):
    expected = tree(results / "e/table.csv")[1:]
    (results / "e").rename(results / "renamed")
    assert tree(results / "renamed/table.csv")[1:] == expected
