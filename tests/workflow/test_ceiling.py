"""What true labels would give, on the tiny run: the labels are the truth, and every step runs."""

import json
import subprocess
import sys

import ceiling
import numpy as np
import pandas as pd
import pytest
from workflow_runs import ROOT

from segment_em.labels import read_chunk

pytestmark = pytest.mark.slow

EXPERIMENT = "results/tiny"


def test_the_labels_are_what_truly_occurs(tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny_run)
    told = ceiling.stamp(next(tiny_run.glob(f"{EXPERIMENT}/em/iteration-2/*/pretrained.json")))
    ceiling.write_truth(told, tmp_path)
    found = {}
    for path in tmp_path.glob("*.h5"):
        chunk = read_chunk(path)
        segment = np.repeat(np.arange(len(chunk.scores.indptr) - 1), np.diff(chunk.scores.indptr))
        for row, name in enumerate(chunk.video_ids):
            first, last = chunk.video_indptr[row : row + 2]
            inside = (segment >= first) & (segment < last) & (chunk.scores.scores == 1)
            columns = chunk.scores.indices[inside]
            found[name] = set(zip(segment[inside] - first, chunk.class_ids[columns], strict=True))
    with np.load(tiny_run / "results/data/tiny/truth/train.npz") as truth:
        classes = set(pd.read_csv(tmp_path / "label_set.csv")["class"])
        for row, name in enumerate(truth["video_ids"].tolist()):
            frames = {}
            for n in range(truth["indptr"][row], truth["indptr"][row + 1]):
                for frame in range(truth["start_frame"][n], truth["end_frame"][n]):
                    frames.setdefault((frame // 5, truth["class_id"][n]), []).append(frame)
            length = truth["frames"][row]
            expected = {
                (segment, name)
                for (segment, name), there in frames.items()
                if name in classes and 2 * len(there) >= min(5, length - 5 * segment)
            }
            assert found[name] == expected
    positives = pd.read_csv(tmp_path / "label_set.csv")["positives"]
    assert positives.sum() == sum(map(len, found.values())) > 0


@pytest.mark.reruns
def test_every_model_with_a_control_has_a_row(tiny_run, tmp_path):
    command = [sys.executable, ROOT / "benchmarks/ceiling.py", EXPERIMENT, "--out", tmp_path]
    subprocess.run(command, cwd=tiny_run, check=True)
    table = pd.read_csv(tmp_path / "table.csv").set_index("model")
    models = {"transformer_early", "transformer_late", "nextvlad", "bigru"}
    assert set(table.index) == models | {"ensemble"}
    scored = json.loads((tmp_path / "bigru/test.json").read_text())["results"]
    assert table.loc["bigru", "truth_finetuned"] == scored["finetuned"]["map"]
    joined = json.loads((tmp_path / "members.json").read_text())["members"]
    assert sorted(member["weights"] for member in joined) == [
        f"{model}/refit.safetensors" for model in sorted(models)
    ]
    known = pd.read_csv(tiny_run / EXPERIMENT / "table.csv")
    controls = known.loc[known["kind"] == "control_ensemble", "test_map"].item()
    assert table.loc["ensemble", "control"] == controls
