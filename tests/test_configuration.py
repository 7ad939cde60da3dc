"""The configuration: types, and one line for each mistake, naming key, value and remedy."""

import copy
import importlib
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from configuration import checked
from entries import (
    chunked,
    features_of,
    files_of,
    options_of,
    threshold_of,
    unused_threshold_options,
)

ROOT = Path(__file__).parent.parent


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def changed(config, path, value):
    config = copy.deepcopy(config)
    *folders, key = path.split(".")
    part = config
    for folder in folders:
        part = part[folder]
    part[key] = value
    return config


def test_the_default_configuration_is_right(config):
    assert checked(config)["experiment"] == "demo"


@pytest.mark.parametrize("text", ["0.8", 0.8, "8e-1", "8.0e-1"])
def test_numbers_given_as_text_become_numbers(config, text):
    assert checked(changed(config, "em.threshold.delta", text))["em"]["threshold"]["delta"] == 0.8


def test_equal_settings_are_equal_whatever_their_notation(config):
    other = changed(config, "training.clip_norm", 1)
    other = changed(other, "models.bigru.dropout", "2e-1")
    other = changed(other, "controls", "true")
    assert repr(checked(other)) == repr(checked(config))


def test_a_model_that_is_not_used_may_be_incomplete(config):
    unused = {"architecture": "none", "fusion": "early"}
    unused["training"] = {"learning_rate": 1, "batch": 1}
    assert checked(changed(config, "models.unused", unused))


def test_null_removes_an_inherited_modality(config):
    config = changed(config, "data.features", {"rgb": None, "audio": 64, "flow": 32})
    assert features_of(config) == [["audio", 64], ["flow", 32]]


def test_a_threshold_rule_is_given_only_its_own_options(config):
    config = changed(config, "em.threshold", {"rule": "fixed", "delta": 0.9, "share": 0.25})
    assert threshold_of(checked(config)) == {"rule": "fixed", "delta": 0.9}
    assert unused_threshold_options(config) == ["share"]


def test_options_of_a_model_are_all_but_the_workflows_own_keys(config):
    assert options_of(config["models"]["logistic"]) == {"fusion": "early", "context": 0}


@pytest.mark.parametrize("chunks", [2, 4, 16])
def test_adding_a_file_changes_few_chunks(chunks):
    files = [f"train{n:04d}.tfrecord" for n in range(60)]
    before = chunked(files, chunks)
    assert sorted(file for chunk in before.values() for file in chunk) == files
    changed_chunks = []
    for number in range(100):
        after = chunked([*files, f"more{number}.tfrecord"], chunks)
        changed_chunks.append(sum(after[chunk] != before.get(chunk) for chunk in after))
    assert 1 <= np.mean(changed_chunks) < 2.5


@pytest.mark.parametrize(
    ("files", "chunks", "most"), [(8, 2, 5), (8, 4, 3), (8, 8, 2), (3844, 128, 38), (3, 1, 3)]
)
def test_no_chunk_has_more_than_the_mean_and_a_quarter_rounded_up(files, chunks, most):
    found = chunked([f"data/train-{n:03d}.tfrecord" for n in range(files)], chunks)
    assert sum(map(len, found.values())) == files
    assert max(map(len, found.values())) <= most
    assert list(found) == sorted(found)


def test_another_folder_of_the_same_files_changes_no_chunk():
    names = [f"{n}.tfrecord" for n in range(40)]
    before, after = chunked([f"a/{n}" for n in names], 8), chunked([f"z/{n}" for n in names], 8)
    assert {c: [f[2:] for f in files] for c, files in before.items()} == {
        c: [f[2:] for f in files] for c, files in after.items()
    }


# Documentation ----------------------------------------------------------------------------------


def keys_of(schema, path=""):
    """Paths of all keys that a schema names, such as em.keep.floor."""
    for key, part in schema.get("properties", {}).items():
        yield f"{path}{key}"
        yield from keys_of(part, f"{path}{key}.")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from keys_of(schema["additionalProperties"], path)


def code_words(page):
    """All names that stand in code on a page."""
    spans = re.findall(r"`([^`\n]+)`", (ROOT / "docs" / page).read_text())
    return {word for span in spans for word in re.findall(r"\w+", span)}


SCHEMA = yaml.safe_load((ROOT / "rules/config.schema.yaml").read_text())


@pytest.mark.parametrize("key", list(keys_of(SCHEMA)))
def test_every_key_is_described(key):
    page, name = "configuration.md", key.rpartition(".")[2]
    if key.startswith("data.simulation."):
        page, name = "simulation.md", key.split(".")[2]  # each entry as a whole
    assert name in code_words(page), f"docs/{page} says nothing of {key}"


def test_a_tilde_is_the_users_home_and_no_path_is_taken_for_an_option(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("a.h5", "b.h5", "-c.h5"):
        (tmp_path / name).touch()
    assert files_of("~/?.h5") == [f"{tmp_path}/a.h5", f"{tmp_path}/b.h5"]
    assert files_of(["-*.h5", "~/a.h5"]) == [f"{tmp_path}/-c.h5", f"{tmp_path}/a.h5"]


@pytest.mark.parametrize(
    "address", ["http://localhost:8000/{id}?t=1", "file:///a/{id}", "thumbnails/{id}.jpg", None]
)
def test_addresses_of_videos_may_have_a_port_or_be_paths(config, address):
    assert checked(changed(config, "report.link", address))["report"]["link"] == address


def test_null_after_config_is_none_where_that_is_allowed(config):
    """Snakemake hands nested values of --config on as text."""
    assert checked(changed(config, "report.link", "null"))["report"]["link"] is None
    assert checked(changed(config, "experiment", "null"))["experiment"] == "null"


# What the code knows of a setting that chooses by name; the schema is read without importing it.
KNOWN = {
    "compute.PRECISIONS": ("training", "precision"),
    "ensemble.JOINS": ("ensemble", "join"),
    "metrics.CRITERIA": ("evaluation", "criterion"),
    "weighing.RULES": ("ensemble", "weights"),
}


@pytest.mark.parametrize("names", KNOWN)
def test_the_schema_allows_what_the_code_knows(names):
    module, name = names.split(".")
    part, key = KNOWN[names]
    entry = SCHEMA["properties"][part]["properties"][key]
    known = getattr(importlib.import_module(f"segment_em.{module}"), name)
    assert set(entry["enum"]) == set(known)
