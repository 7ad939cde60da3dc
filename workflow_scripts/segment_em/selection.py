"""Algorithm 1, line 10: which model is F for the next iteration, and how sure that is."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segment_em.files import replacing
from segment_em.provenance import write_how

Candidate = dict[str, Any]


def candidates_of(validation_path: str | Path, stages: Sequence[str]) -> list[Candidate]:
    """The given stages of one model, from its validation.json.

    Each is {"weights": path, "stage", "validation_map", "validation_map_sd"}.
    """
    results = json.loads(Path(validation_path).read_text(encoding="utf-8"))["results"]
    return [
        {
            "weights": results[stage]["scorer"],
            "stage": stage,
            "validation_map": results[stage]["map"],
            "validation_map_sd": results[stage]["map_sd"],
        }
        for stage in stages
    ]


def best(candidates: Sequence[Candidate]) -> Candidate:
    """The candidate with the highest validation mAP; the earlier one if two are equal."""
    return max(candidates, key=lambda candidate: candidate["validation_map"])


def near_ties(candidates: Sequence[Candidate]) -> list[str]:
    """Weights of those within one bootstrap standard deviation of the best, best excluded."""
    winner = best(candidates)
    limit = winner["validation_map"] - winner["validation_map_sd"]
    return [
        candidate["weights"]
        for candidate in candidates
        if candidate is not winner and candidate["validation_map"] >= limit
    ]


def select(
    validation_paths: Sequence[str | Path],
    stages: Sequence[str],
    previous: Sequence[str | Path],
    out: str | Path,
    stamp: Mapping[str, Any],
) -> None:
    """Write selected.json and, beside it, a copy of the selected weights.

    validation_paths: of this iteration's models. stages: which of their stages may be selected.
    previous: selected.json and .safetensors of the iteration before, if F of then stays in the
    running, or nothing; it goes first, so that a new model has to be better than it, not equal.
    """
    candidates = []
    if previous:
        candidates.append(json.loads(Path(previous[0]).read_text(encoding="utf-8"))["selected"])
    for path in validation_paths:
        candidates.extend(candidates_of(path, stages))
    winner = best(candidates)
    out = Path(out)
    with replacing(out.with_suffix(".safetensors")) as temporary:
        stays = previous and winner is candidates[0]
        shutil.copyfile(previous[1] if stays else winner["weights"], temporary)
    report = {
        "selected": winner,
        "by": "validation_map",
        "among": candidates,
        "near_ties": near_ties(candidates),
        "stamp": dict(stamp),
    }
    with replacing(out) as temporary:
        temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    write_how(out, stamp)
