"""What decides a result is recorded in one form; the digests are those of common tools."""

import hashlib
import json
import os

import numpy
import pytest

from segment_em import provenance
from segment_em.errors import InputError


def test_equal_settings_have_equal_texts_whatever_their_order():
    one, other = {"a": 1, "b": [0.1, "x"]}, {"b": [0.1, "x"], "a": 1}
    assert provenance.canonical(one) == provenance.canonical(other) == '{"a":1,"b":[0.1,"x"]}'


def test_swapped_values_are_seen():
    assert provenance.digest({"a": 1, "b": 2}) != provenance.digest({"a": 2, "b": 1})


def test_values_that_json_does_not_have_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        provenance.canonical(float("nan"))


def test_a_files_digest_is_its_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 1000)
    expected = hashlib.sha256(b"abc" * 1000).hexdigest()[:16]
    assert provenance.file_digest(tmp_path / "a") == expected


def test_a_stamp_names_settings_code_and_inputs(tmp_path, monkeypatch):
    script = provenance.Path(provenance.__file__).parent.parent / "pretrain.py"
    monkeypatch.setattr("sys.argv", [str(script)])
    (tmp_path / "in").write_text("x")
    stamp = provenance.stamp({"lr": 0.1}, [tmp_path / "in"])
    assert stamp["config"] == {"lr": 0.1}
    assert {"pretrain.py", "segment_em/provenance.py"} <= stamp["code"].keys()
    assert list(stamp["inputs"]) == [str(tmp_path / "in")]


def test_the_json_beside_an_artefact_has_its_name_or_says_how_if_that_is_taken():
    beside = [provenance.beside(f"a/{name}") for name in ("w.safetensors", "t.csv", "v.json")]
    assert [path.name for path in beside] == ["w.json", "t.json", "v.how.json"]


def test_circumstances_stand_beside_the_stamp(tmp_path):
    provenance.write_how(tmp_path / "t.csv", {"config": {}}, device="cuda")
    head = json.loads((tmp_path / "t.json").read_text())
    assert head["stamp"] == {"config": {}}
    assert head["circumstances"]["device"] == "cuda"
    now = head["circumstances"]
    assert {"git_commit", "git_clean", "host", "started", "seconds"} <= now.keys()
    assert now["process"] == os.getpid()


def test_only_versions_of_loaded_packages_are_recorded(monkeypatch):
    monkeypatch.delitem(provenance.sys.modules, "torch", raising=False)
    monkeypatch.setitem(provenance.sys.modules, "numpy", numpy)
    assert provenance.circumstances("cpu")["versions"]["numpy"] == numpy.__version__
    assert "torch" not in provenance.circumstances("cpu")["versions"]


def test_another_major_or_minor_version_is_named_another_patch_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "version", {"torch": "2.9.1", "numpy": "2.1.0"}.__getitem__)
    monkeypatch.setattr(provenance, "PACKAGES", ("torch", "numpy"))
    recorded = {
        "patch.json": {"torch": "2.9.0", "numpy": "2.1.3"},
        "deep/minor.json": {"torch": "2.8.1", "numpy": "2.1.0"},
        "major.how.json": {"numpy": "1.1.0"},
    }
    for name, versions in recorded.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps({"circumstances": {"versions": versions}}))
    (tmp_path / "other.json").write_text("[1]")
    assert provenance.other_versions([tmp_path]) == {
        str(tmp_path / "deep/minor.json"): "torch 2.8.1, now 2.9.1",
        str(tmp_path / "major.how.json"): "numpy 1.1.0, now 2.1.0",
    }


def test_the_gpus_that_a_job_held_are_named_as_on_their_host(monkeypatch):
    for variable in ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(variable, raising=False)
    assert provenance.circumstances("cpu")["gpus"] == []
    assert provenance.circumstances("cuda")["gpus"] == ["0"]  # what torch takes by itself
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 3")
    assert provenance.circumstances("cuda")["gpus"] == ["2", "3"]
    # SLURM shows each job its devices as 0, 1, ...
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("SLURM_JOB_GPUS", "7")
    assert provenance.circumstances("cuda")["gpus"] == ["7"]
    assert provenance.circumstances("cpu")["gpus"] == []


def test_a_json_that_is_not_whole_is_named_with_what_to_do(tmp_path):
    path = tmp_path / "em/pretrained.json"
    path.parent.mkdir()
    path.write_text('{"stamp": {}, "circumstances": {"ver')
    for reads in (lambda: provenance.stamps_below(tmp_path), lambda: other_versions(tmp_path)):
        with pytest.raises(InputError, match=r"em/pretrained\.json: not whole JSON .*delete it"):
            reads()


def test_what_others_leave_among_the_results_is_not_read(tmp_path):
    (tmp_path / "._table.json").write_bytes(b'\xff"stamp""circumstances"')
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "gone.json").symlink_to("nowhere")
    (tmp_path / "notes.json").write_text('{"notes": {"circumstances": 1, "stamp": {}}}')
    (tmp_path / "list.json").write_text('["circumstances", "stamp"]')
    (tmp_path / "text.json").write_text('{"circumstances": "", "stamp": ""}')
    assert provenance.stamps_below(tmp_path) == other_versions(tmp_path) == {}


def other_versions(folder):
    return provenance.other_versions([folder])
