"""What decides a result is recorded in one form; the digests are those of common tools."""

import hashlib

import pytest

from segment_em import provenance


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
