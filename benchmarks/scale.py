"""What configs/yt8m.yaml costs on all of YouTube-8M, from the unit costs of `make bench`.

Writes docs/scale.md. Bytes, files and disk follow from the formats and the configuration;
operations from the models' sizes; core-hours of reading from batches.json; GPU-hours from the
shares of a peak in gpu.json, where a GPU was measured.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flops
import numpy as np
import paper
import yaml
from measure import ROOT, number
from synthetic import FEATURES, SEGMENT_FRAMES

DOCUMENT = ROOT / "docs/scale.md"
# Public figures: videos of the train part (official/projects/yt8m of TensorFlow's model garden),
# ratings, the test set of the Segments data.
TRAIN_VIDEOS, RATINGS, RATINGS_A_VIDEO, TEST_VIDEOS = 3_888_919, 237_788, 5, 44_700
WAITING = 575  # videos a second by six threads where each request waits 2 ms: docs/log.md
FRAMES = 230  # of a video, in the mean
HEADERS = 18  # bytes around the two byte strings of a frame
GPUS = (1, 2, 8)
# What is asked of the Transformer on an H100: 45 % of 989 TFLOP/s.
ASKED = 0.45 * 989e12
# docs/format.md: a video's row of the index, and an entry of the pseudo-labels.
INDEX_BYTES_A_VIDEO, ENTRY_BYTES, LABELS_A_VIDEO = 150, 9, 3


@dataclass
class Stage:
    """jobs: how many there are, at most so many GPUs are of use. videos: read, over all jobs."""

    name: str
    jobs: int
    videos: float
    operations: float
    disk: float
    files: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=ROOT / "results/benchmarks")
    parser.add_argument("--out", type=Path, default=DOCUMENT)
    args = parser.parse_args()
    config = yaml.safe_load((ROOT / "configs/yt8m.yaml").read_text(encoding="utf-8"))
    text = document(config, read_rate(args.results), gpu_rate(args.results))
    args.out.write_text(text, encoding="utf-8")


def bytes_a_video() -> int:
    return FRAMES * (sum(FEATURES.values()) + HEADERS)


def stages(config: dict[str, Any]) -> list[Stage]:
    """The stages in the order of Algorithm 1, where F teaches and no teacher joins the ensemble."""
    assert (config["em"]["teacher"], config["ensemble"]["members"]) == ("best", "last")
    train = TRAIN_VIDEOS
    rated = RATINGS / RATINGS_A_VIDEO
    tuned = rated * (1 - config["data"]["validation_fraction"])
    chunks, epochs = config["data"]["chunks"], config["training"]
    initial = config["em"]["initial"]
    groups = [[member.split("@")[0] for member in group] for group in config["em"]["iterations"]]
    controls = groups[-1] if config["controls"] else []
    found = [
        Stage(
            "index",
            3 * chunks,
            train + rated + TEST_VIDEOS,
            0,
            INDEX_BYTES_A_VIDEO * (train + rated + TEST_VIDEOS),
            3 * chunks,
        ),
        training("pretrain", [initial, *controls], train, epochs["pretrain"]["epochs"]),
        training("fine-tune", [initial, *controls], tuned, epochs["finetune"]["epochs"]),
    ]
    teacher = initial
    for i, group in enumerate(groups, 1):
        kept = LABELS_A_VIDEO + config["em"]["keep"]["top"]
        disk = train * FRAMES / SEGMENT_FRAMES * (kept * ENTRY_BYTES + 8)
        work = train * forward(teacher)
        found.append(Stage(f"E-step {i}, by {teacher}", chunks, train, work, disk, chunks))
        found.append(training(f"M-step {i}", group, train, epochs["m_step"]["epochs"]))
        found.append(training(f"fine-tune {i}", group, tuned, epochs["finetune"]["epochs"]))
        teacher = max(group, key=forward)  # the dearest that may be selected
    if config["ensemble"]["refit"]:
        found.append(
            training("refit", [*groups[-1], *controls], rated, epochs["finetune"]["epochs"])
        )
    models = [initial, *(name for group in groups for name in group), *controls]
    scored = 2 * (rated - tuned)  # both stages of each; the test set has no public ratings
    found.append(
        Stage(
            "validate and test",
            2 * len(models),
            scored * len(models),
            scored * sum(map(forward, models)),
            0,
            2 * len(models),
        )
    )
    segments = TEST_VIDEOS * FRAMES / SEGMENT_FRAMES
    found.append(
        Stage(
            "predict",
            chunks,
            TEST_VIDEOS,
            TEST_VIDEOS * sum(map(forward, groups[-1])),
            segments * paper.CLASSES * 4,
            chunks,
        )
    )
    return found


def training(name: str, models: list[str], videos: float, epochs: int) -> Stage:
    """One job a model; weights and the .json beside them."""
    passes = videos * epochs
    work = passes * sum(map(step, models))
    disk = 4 * sum(map(parameters, models))
    return Stage(
        f"{name}: {', '.join(models)}",
        len(models),
        passes * len(models),
        work,
        disk,
        2 * len(models),
    )


def forward(name: str) -> float:
    architecture, options = paper.options(name, small=False)
    return flops.forward(architecture, options, FEATURES, paper.CLASSES, FRAMES)


def step(name: str) -> float:
    architecture, options = paper.options(name, small=False)
    return flops.step(architecture, options, FEATURES, paper.CLASSES, FRAMES)


def parameters(name: str) -> int:
    model = paper.model(name, FEATURES, paper.CLASSES, small=False)
    return sum(weight.numel() for weight in model.parameters())


def read_rate(results: Path) -> float | None:
    """Videos a second and core, as the jobs load them."""
    path = results / "batches.json"
    return json.loads(path.read_text())["rows"][0]["figure"] if path.exists() else None


def gpu_rate(results: Path) -> float | None:
    """Operations a second of the Transformer's training step; None where no GPU was measured."""
    path = results / "gpu.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    shares = [row for row in rows if row["what"] == "transformer_early, share of the GPU's peak"]
    if not shares or shares[0]["figure"] is None:
        return None
    return shares[0]["figure"] * float(shares[0]["against"].split()[0]) * 1e12


def document(config: dict[str, Any], videos_a_second: float | None, measured: float | None) -> str:
    found, epochs = stages(config), config["training"]["m_step"]["epochs"]
    rate = measured or ASKED
    source = (
        "measured for the Transformer's training step"
        if measured
        else "**not measured**: what they would be at the 45 % of an H100's 989 TFLOP/s that is "
        "asked of the Transformer"
    )
    head = ["stage", "jobs", "read, TB", "reading, core-h", "EFLOP", "GPU-h"]
    head += [f"h on {count} GPU{'s' * (count > 1)}" for count in GPUS] + ["files", "disk, GB"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [line(stage, videos_a_second, rate) for stage in found]
    total = totals(found)
    spared = 1 - totals(stages(config | {"controls": False})) / total
    disk, files = sum(stage.disk for stage in found), sum(stage.files for stage in found)
    lines.append(
        f"| **all** | {sum(stage.jobs for stage in found)} | {terabytes(total[0])} "
        f"| {core_hours(total[0], videos_a_second)} | {number(total[1] / 1e18)} "
        f"| {number(total[1] / rate / 3600)} | "
        + " | ".join(number(sum(hours(s, count, rate) for s in found)) for count in GPUS)
        + f" | {files} | {number(disk / 1e9)} |"
    )
    return TEXT.format(
        source=source,
        table="\n".join(lines),
        videos=TRAIN_VIDEOS,
        train=terabytes(TRAIN_VIDEOS),
        terabytes=terabytes(total[0]),
        gpu_hours=number(total[1] / rate / 3600),
        waiting=WAITING,
        epochs=epochs,
        waited=TRAIN_VIDEOS * epochs / WAITING / 3600,
        disk_hours=total[0] * bytes_a_video() / 1e9 / 3600,
        reading=spared[0],
        computing=spared[1],
    )


def totals(found: list[Stage]) -> np.ndarray:
    """Videos read, and operations."""
    return np.sum([(stage.videos, stage.operations) for stage in found], axis=0)


def line(stage: Stage, videos_a_second: float | None, rate: float) -> str:
    cells = [
        stage.name,
        str(stage.jobs),
        terabytes(stage.videos),
        core_hours(stage.videos, videos_a_second),
        number(stage.operations / 1e18),
        number(stage.operations / rate / 3600),
        *(number(hours(stage, count, rate)) for count in GPUS),
        str(stage.files),
        number(stage.disk / 1e9),
    ]
    return f"| {' | '.join(cells)} |"


def terabytes(videos: float) -> str:
    return number(videos * bytes_a_video() / 1e12)


def core_hours(videos: float, videos_a_second: float | None) -> str:
    return "not measured" if videos_a_second is None else number(videos / videos_a_second / 3600)


def hours(stage: Stage, gpus: int, rate: float) -> float:
    """Jobs of equal length, one GPU each, as many at once as there are GPUs."""
    rounds = -(-stage.jobs // gpus)
    return stage.operations / rate / 3600 / stage.jobs * rounds


TEXT = """# The full data set on paper

Made by `python benchmarks/scale.py` from `configs/yt8m.yaml`, the formats and what `make bench`
measured. {videos:,} training videos ({train} TB at 230 frames a video), 47,558 rated ones, 44,700
test videos, 1,000 classes.

**Plan by the disk.** The process reads {terabytes} TB: {disk_hours:.0f} h at 1 GB/s, whatever
the GPUs, where all of the computing would be {gpu_hours} h of one GPU.

{table}

- **GPU-hours** are {source}. Other models and inference are taken to use the GPU as well as that.
- **Hours on 1, 2, 8 GPUs** take the jobs of a stage to be of equal length and to have one GPU each;
  a stage with four models gains nothing from more than four GPUs. They are hours of computing: the
  starts of jobs, reading, and choosing the scores that an E-step stores come on top, and are nearly
  all of what a chunk of an E-step or of predictions takes. They were not measured on a GPU.
- **Reading** is the work of the threads that make batches from page-cached records, at the rate
  of `batches.py`; the disk has to deliver *read, TB* in the hours of the stage, as the records do
  not fit into memory. A thread reads one video after another: where each request waits 2 ms, as on
  a network, six threads read {waiting} videos a second ([log.md](log.md)), and {epochs} epochs of
  a training take {waited:.1f} h however fast the disk is. More threads (`compute.loader_workers`)
  should help; how many was not measured.
- **Disk**: pseudo-labels are the upper bound of `em.keep` (every segment keeps `top` scores beside
  its video's labels); the index takes about 150 bytes a video; records are not copied.
- **Files** are results alone. Each has a `.json` beside it, and each job a log and its times: some
  four times as many lie there in the end, and Snakemake keeps a file of its own for each result.
- **Videos**: the train part, of the 6.1 million and 1.53 TB of all parts together.
- Controls are {reading:.0%} of the reading and {computing:.0%} of the computing, which
  `controls: false` spares, and the comparison with them.
- E-step 2 is counted with the dearest model that may be selected.
"""


if __name__ == "__main__":
    main()
