"""Weights on disk: they come back, to the bit, and what is not ours is refused."""

import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

from segment_em.checkpoint import Specification, load_weights, save_weights
from segment_em.errors import InputError

SPECIFICATION = Specification(
    "bigru",
    {"fusion": "late", "layers": 1, "hidden": 4, "dropout": 0.0},
    # Not in alphabetical order: the order decides which weights belong to which modality.
    [["rgb", 8], ["audio", 4]],
    [3, 8, 20],
    5,
)


@pytest.fixture
def path(tmp_path):
    torch.manual_seed(0)
    save_weights(tmp_path / "w.safetensors", SPECIFICATION.build(), SPECIFICATION, {"a": 1}, "cpu")
    return tmp_path / "w.safetensors"


def test_a_model_comes_back_with_its_weights_and_description(path):
    torch.manual_seed(0)
    expected = SPECIFICATION.build()
    model, specification = load_weights(path)
    assert specification == SPECIFICATION
    for name, tensor in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_the_same_weights_give_the_same_bytes_whatever_the_circumstances(tmp_path, path):
    torch.manual_seed(0)
    again = tmp_path / "again.safetensors"
    save_weights(again, SPECIFICATION.build(), SPECIFICATION, {"a": 1}, "cuda")
    assert again.read_bytes() == path.read_bytes()
    assert json.loads(again.with_suffix(".json").read_text())["circumstances"]["device"] == "cuda"


def test_a_pickle_is_refused_unread(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(pickle.dumps({"weights": [1, 2]}))
    with pytest.raises(InputError, match=r"w\.safetensors: not a whole safetensors file"):
        load_weights(path)


def test_a_cut_file_is_refused(path):
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        load_weights(path)


def test_foreign_weights_are_refused(tmp_path):
    save_file({"x": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="not written by this workflow; name weights"):
        load_weights(tmp_path / "w.safetensors")


def test_weights_that_do_not_fit_their_description_are_refused(tmp_path):
    other = Specification("logistic", {"fusion": "early", "context": 0}, [["rgb", 8]], [3], 5)
    save_weights(tmp_path / "w.safetensors", other.build(), SPECIFICATION, {}, "cpu")
    with pytest.raises(InputError, match="do not fit their own description"):
        load_weights(tmp_path / "w.safetensors")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    model = SPECIFICATION.build()
    torch.nn.init.constant_(model.classifier.weight, float("nan"))
    save_weights(tmp_path / "w.safetensors", model, SPECIFICATION, {}, "cpu")
    with pytest.raises(InputError, match=r"'classifier\.weight' are not finite"):
        load_weights(tmp_path / "w.safetensors")


def test_a_file_that_is_not_there_is_no_damaged_one(tmp_path):
    with pytest.raises(InputError, match=r"w\.safetensors: no such file; .* copy it along"):
        load_weights(tmp_path / "w.safetensors")
