"""Selection of F: the best on validation, F so far in the running, near-ties named."""

import json

import pytest

from segment_em import selection


def model(folder, name, validation_map, sd=0.02):
    run = folder / name
    run.mkdir(parents=True)
    results = {
        stage: {"scorer": str(run / f"{stage}.safetensors"), "map": value, "map_sd": sd}
        for stage, value in [("pretrained", validation_map - 0.1), ("finetuned", validation_map)]
    }
    (run / "validation.json").write_text(json.dumps({"results": results}))
    for stage in results:
        (run / f"{stage}.safetensors").write_bytes(f"{name} {stage}".encode())
    return run / "validation.json"


def select(folder, paths, previous=(), stages=("finetuned",), out="selected.json"):
    selection.select(paths, stages, previous, folder / out, {})
    return json.loads((folder / out).read_text())


def test_the_best_on_validation_is_selected_and_its_weights_copied(tmp_path):
    paths = [model(tmp_path, "a", 0.70), model(tmp_path, "b", 0.80), model(tmp_path, "c", 0.75)]
    report = select(tmp_path, paths)
    assert report["selected"]["weights"].endswith("b/finetuned.safetensors")
    assert (tmp_path / "selected.safetensors").read_bytes() == b"b finetuned"
    assert [row["validation_map"] for row in report["among"]] == [0.70, 0.80, 0.75]


def test_f_so_far_stays_when_nothing_is_better(tmp_path):
    select(tmp_path, [model(tmp_path, "a", 0.80)], out="first.json")
    previous = [tmp_path / "first.json", tmp_path / "first.safetensors"]
    report = select(tmp_path, [model(tmp_path, "b", 0.80)], previous=previous)
    assert report["selected"]["weights"].endswith("a/finetuned.safetensors")
    assert (tmp_path / "selected.safetensors").read_bytes() == b"a finetuned"


def test_those_within_one_standard_deviation_are_named_as_near_ties(tmp_path):
    paths = [model(tmp_path, "a", 0.79), model(tmp_path, "b", 0.80), model(tmp_path, "c", 0.77)]
    ties = select(tmp_path, paths)["near_ties"]
    assert [path.split("/")[-2] for path in ties] == ["a"]


@pytest.mark.parametrize("stage", ["pretrained", "finetuned"])
def test_the_stage_that_may_be_selected_is_a_setting(tmp_path, stage):
    report = select(tmp_path, [model(tmp_path, "a", 0.7)], stages=[stage])
    assert report["selected"]["stage"] == stage
