"""What perfect estimates would give: the last iteration's models, trained on the truth.

python benchmarks/ceiling.py results/demo

The experiment is finished, its data are simulated and it has controls. Each model that has a
control learns from the true label of every segment of the train split, with the settings of its
M-step; it is fine-tuned, scored and joined with the others as its control was. EM estimates these
labels, so that its models are expected between the controls and these.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jobs import MACHINE
from measure import ROOT

from segment_em import labels, pseudo_label_files
from segment_em.truth import Truth

# Of the estimators, the one that takes labels outside the video's labels too.
ESTIMATION = "label_corrected"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", type=Path, help="results/<name>")
    parser.add_argument("--out", type=Path, help="folder; default: results/ceiling/<name>")
    args = parser.parse_args()
    out = args.out or args.experiment.parent / "ceiling" / args.experiment.name
    table = ceiling(args.experiment, out)
    table.to_csv(out / "table.csv", index=False, lineterminator="\n")
    print(table.round(3).to_string(index=False))


def ceiling(experiment: Path, out: Path) -> pd.DataFrame:
    """A row a model, then the ensemble: test mAP of its control, of EM, and on the truth.

    pretrained: before fine-tuning; nan for the ensemble. Weights and scores are left in `out`.
    """
    members = {path.parent.name: path for path in last_iteration(experiment)}
    models = [path.parent.name for path in sorted(experiment.glob("controls/*/finetuned.json"))]
    label_files = write_truth(stamp(next(iter(members.values()))), out)
    on_truth = {
        model: train(
            next(path for name, path in members.items() if name.startswith(f"{model}@")),
            experiment / "controls" / model,
            out / model,
            label_files,
        )
        for model in models
    }
    control = experiment / "controls/ensemble"
    on_truth["ensemble"] = {"pretrained": np.nan, "finetuned": join(control, models, out)}
    return pd.DataFrame(
        {"model": model}
        | of_em(pd.read_csv(experiment / "table.csv"), model)
        | {f"truth_{stage}": score for stage, score in scores.items()}
        for model, scores in on_truth.items()
    )


def last_iteration(experiment: Path) -> list[Path]:
    """pretrained.json of each member of the last iteration."""
    iterations = sorted(experiment.glob("em/iteration-*"), key=lambda path: int(path.name[10:]))
    return sorted(iterations[-1].glob("*@*/pretrained.json"))


def of_em(table: pd.DataFrame, model: str) -> dict[str, float]:
    """Test mAP of the control and of the best member of that model in the last iteration."""
    tuned = table[(table["model"] == model) & (table["stage"] == "finetuned")]
    kinds = {"control": "control", "em": "member"}
    if model == "ensemble":
        tuned, kinds = table, {"control": "control_ensemble", "em": "ensemble"}
    of_kind = {name: tuned[tuned["kind"] == kind] for name, kind in kinds.items()}
    last = of_kind["em"]["iteration"].max()
    of_kind["em"] = of_kind["em"][of_kind["em"]["iteration"] == last]
    return {name: rows["test_map"].max() for name, rows in of_kind.items()}


# The truth in place of the E-step -----------------------------------------------------------------


def write_truth(told: dict[str, Any], out: Path) -> list[Any]:
    """Pseudo-labels and a label set that hold the truth, as arguments of an M-step's job.

    told: the stamp of an M-step, whose pseudo-labels name the videos and classes.
    """
    out.mkdir(parents=True, exist_ok=True)
    inputs, cut = told["inputs"], [told["config"][key] for key in ("segment_frames", "max_frames")]
    data = Path(index_of(told)[0]).parents[1].name
    truth = Truth(Path("results/data") / data / "truth/train.npz")
    label_set = pd.read_csv(next(path for path in inputs if "/label_sets/" in path))
    written, positives_C = [], np.zeros(len(label_set), np.int64)
    for path in (path for path in inputs if "/pseudo_labels/" in path):
        written.append(out / Path(path).name)
        positives_C += write_chunk(labels.read_chunk(path), truth, cut, written[-1])
    label_set[["threshold", "threshold_others"]] = 0.5
    label_set["positives"] = label_set["score_sum"] = positives_C
    label_set.to_csv(out / "label_set.csv", index=False)
    return ["--pseudo-labels", *written, "--label-set", out / "label_set.csv"]


def write_chunk(chunk: labels.Chunk, truth: Truth, cut: list[int], path: Path) -> np.ndarray:
    """The chunk's segments with a score of 1 where a class truly occurs; how many, by class.

    cut: frames of a segment, and of a video at most.
    """
    true_NC = np.concatenate(
        [truth.segments(name, chunk.class_ids, *cut) for name in chunk.video_ids]
    )
    scores = chunk.scores
    labels_NC = np.zeros(true_NC.shape, bool)
    segment = np.repeat(np.arange(len(true_NC)), np.diff(scores.indptr))
    labels_NC[segment, scores.indices] = scores.in_video_labels
    scores_NC = true_NC.astype(np.float32)
    everything = pseudo_label_files.sparse_scores(
        scores_NC, labels_NC, 0.0, len(chunk.class_ids), np.zeros_like(scores_NC)
    )
    pseudo_label_files.write_pseudo_labels(
        path, everything, chunk.video_ids, chunk.video_indptr, chunk.class_ids, {}
    )
    return true_NC.sum(axis=0)


# The jobs that the workflow would run -------------------------------------------------------------


def train(member: Path, control: Path, out: Path, label_files: list[Any]) -> dict[str, float]:
    """Test mAP of the model on the truth, by stage. member: pretrained.json of its M-step."""
    maximise, weights = stamp(member), out / "pretrained.safetensors"
    run(
        "maximise",
        maximise["config"] | {"estimation": ESTIMATION, "labels": "hard", "agreement": False},
        *(*MACHINE, "--state-minutes", 5),
        *("--index", *index_of(maximise), *label_files, "--out", weights),
    )
    # What validation judges, and what joins the ensemble, where that is another.
    for tuned in dict.fromkeys((control / "finetuned.safetensors", joined(control))):
        finetune = stamp(tuned.with_suffix(".json"))
        run(
            "finetune",
            finetune["config"],
            *(*MACHINE, "--state-minutes", 5, "--index", *index_of(finetune)),
            *("--weights", weights, "--out", out / tuned.name),
        )
    for part in ("validation", "test"):
        score(
            control / f"{part}.json",
            {"pretrained": weights, "finetuned": out / "finetuned.safetensors"},
            out / f"{part}.json",
        )
    results = json.loads((out / "test.json").read_text(encoding="utf-8"))["results"]
    return {stage: result["map"] for stage, result in results.items()}


def joined(control: Path) -> Path:
    """The weights by which a control joined the others."""
    joins = stamp(control.parent / "ensemble/members.json")["config"]["joins"]
    return next(path for path in map(Path, joins.values()) if is_of(path, control))


def is_of(weights: Path, control: Path) -> bool:
    """Whether weights, which another experiment may have made, are that control's."""
    return weights.parts[-3:-1] == control.parts[-2:]


def join(control: Path, models: list[str], out: Path) -> float:
    """Test mAP of the ensemble of the models, whose weights and scores lie in `out`."""
    validation = [out / model / "validation.json" for model in models]
    members, told = out / "members.json", stamp(control / "members.json")
    weighing = told["config"]
    for model in models:
        name = joined(control.parent / model).name
        weighing["joins"][str(out / model / "finetuned.safetensors")] = str(out / model / name)
    # F of iteration 0, where it joins the controls.
    before = [path for path in told["inputs"] if path.endswith("/selected.json")]
    arguments = ["--validation", *validation, "--before", *before, "--out", members]
    run("weigh_members", weighing, *arguments)
    score(control / "test.json", {"ensemble": members}, out / "test.json")
    results = json.loads((out / "test.json").read_text(encoding="utf-8"))["results"]
    return results["ensemble"]["map"]


def score(like: Path, scorers: dict[str, Path], out: Path) -> None:
    """Evaluate on the ratings that `like`, an evaluation's JSON, was measured on."""
    named = [word for name, path in scorers.items() for word in ("--scorer", name, path)]
    told = stamp(like)
    arguments = [*MACHINE, "--videos", 64, "--index", *index_of(told), *named]
    run(
        "evaluate",
        told["config"],
        *(*arguments, "--ratings", out.with_suffix(".ratings.csv"), "--out", out),
    )


def index_of(told: dict[str, Any]) -> list[str]:
    return [path for path in told["inputs"] if "/index/" in path]


def stamp(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))["stamp"]


def run(script: str, config: dict[str, Any], *arguments: Any) -> None:
    path = ROOT / "workflow_scripts" / f"{script}.py"
    command = [sys.executable, path, "--config", json.dumps(config), *arguments]
    subprocess.run([str(word) for word in command], check=True)


if __name__ == "__main__":
    main()
