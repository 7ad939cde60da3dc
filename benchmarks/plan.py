"""Planning the full-size workflow: a dry run over 3 x 3,844 empty files of the official names."""

import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from child import cost_of
from measure import ROOT, Row, run


def sizes(quick: bool) -> dict:
    return {"files_a_split": 10 if quick else 3844, "repeats": 1 if quick else 5}


def measured(quick: bool) -> Iterator[Row]:
    size = sizes(quick)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_empty_files(folder, size["files_a_split"])
        command = [
            *(sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "all"),
            *("--snakefile", ROOT / "Snakefile", "--directory", folder),
            *("--configfile", ROOT / "configs/yt8m.yaml"),
        ]
        taken = [cost_of(command, folder / "log").seconds for _ in range(size["repeats"])]
    what = "dry run of configs/yt8m.yaml"
    yield Row(what, "s", statistics.median(taken), judged="figure", at_most=10)


def write_empty_files(folder: Path, files: int) -> None:
    data = folder / "data/yt8m"
    for split in ("train", "validate", "test"):
        os.makedirs(data / split)
        for number in range(files):
            (data / split / f"{split}{number:04d}.tfrecord").touch()
    (data / "segment_label_ids.csv").write_text("Index\n3\n7\n")
    (data / "vocabulary.csv").write_text("Index,Name\n3,Game\n7,Vehicle\n")


if __name__ == "__main__":
    run(measured, __doc__, sizes)
