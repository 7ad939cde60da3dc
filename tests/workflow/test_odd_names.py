"""Paths and ids that a shell would take apart come through whole, and run nothing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from workflow_runs import TINY, snakemake

from segment_em.records import Ratings, encode_example, write_records

pytestmark = pytest.mark.faults

# Each in a folder that the run works in, so that whatever ran would leave the file `owned`.
FOLDERS = {
    "train": "-a train's; touch owned; #",
    "segments": '$(touch owned) "rated"\n[1]',
    "test": "--out=`touch owned` & \\ test *",
}
LISTS = {"segment_classes": "-classes $(touch owned).csv", "vocabulary": "names 'all'; x.csv"}
# A submission has no room for white space, comma, colon and double quote.
IDS = {
    "train": "-{} $(touch owned);'\"\\ {{x}}",
    "segments": "-rf `touch owned` {}\n",
    "test": "--ид-{}-$(touch${{IFS}}owned);&|<>*'\\",
}


def write_split(path, split, count):
    path.parent.mkdir(parents=True)
    random = np.random.default_rng(len(split))
    payloads = []
    for number in range(count):
        frames = {"rgb": random.integers(0, 256, (20, 8), np.uint8)}
        rated = Ratings(np.array([0, 5]), np.array([3, 7]), np.array([1.0, number % 2], np.float32))
        labels = np.array([3, 7][: 1 + number % 2])
        ratings = None if split == "train" else rated
        payloads.append(encode_example(IDS[split].format(number), labels, frames, ratings))
    write_records(path, payloads)


def test_names_that_a_shell_would_take_apart_come_through_whole(tmp_path):
    paths = {split: f"{folder}/{split} 0;.tfrecord" for split, folder in FOLDERS.items()}
    for split, path in paths.items():
        write_split(tmp_path / path, split, 12)
    (tmp_path / LISTS["segment_classes"]).write_text("Index\n3\n7\n")
    (tmp_path / LISTS["vocabulary"]).write_text("Index,Name\n3,$(touch owned)\n7,'; \"\n")
    config = {
        "experiment": "odd",
        "data": {"name": "odd", "features": {"rgb": 8, "audio": None}, "chunks": 1}
        | {split: [path] for split, path in paths.items()}
        | LISTS,
        "em": {"iterations": [["logistic@video_prior"]]},
        "controls": False,
        "localisation": {"threshold": 0.0},
    }
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    run = snakemake(tmp_path, configs=[TINY, tmp_path / "odd.yaml"])
    assert run.returncode == 0, run.stdout[-4000:]
    assert not list(tmp_path.rglob("owned"))
    found = pd.read_csv(tmp_path / "results/odd/localisations.csv")
    assert set(found["video_id"]) == {IDS["test"].format(number) for number in range(12)}
    assert set(found["name"]) == {"$(touch owned)", "'; \""}
    submission = Path(tmp_path / "results/odd/submission.csv").read_text(encoding="utf-8")
    assert all(IDS["test"].format(number) + ":15" in submission for number in range(12))
