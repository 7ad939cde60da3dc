"""Algorithm 1, line 10: which model is F, who teaches the next iteration, and how sure that is."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from segment_em import ensemble, ratings_table
from segment_em.candidates import Candidate, Comparison, best, candidates_of, difference
from segment_em.ensemble import Ensemble
from segment_em.files import read_json, replacing, write_json
from segment_em.provenance import write_how

SELECTED, TEACHER = "selected", "teacher"


class Previous(NamedTuple):
    """What select made of the iteration before."""

    report: str | Path  # selected.json
    weights: str | Path  # selected.safetensors
    ratings: str | Path  # selected.ratings.csv


def compared(candidates: Sequence[Candidate], by: Comparison) -> list[dict[str, Any]]:
    """What JSON tells of each candidate, with its difference to the best and whether that is a tie.

    "difference" is 0 for the best and below 0 for the others, "difference_error" its standard error
    (null where there is none); "tie": the difference is within one standard error.
    """
    winner = best(candidates, by.criterion)
    rows = []
    for candidate in candidates:
        value, error = difference(candidate, winner, by)
        told = {
            "difference": value,
            "difference_error": None if np.isnan(error) else error,
            "tie": candidate is not winner and value >= -error,
        }
        rows.append(candidate.described() | told)
    return rows


def select(
    validation_paths: Sequence[str | Path],
    stages: Sequence[str],
    mean_validation: str | Path | None,
    previous: Previous | None,
    by: Comparison,
    out: str | Path,
    stamp: Mapping[str, Any],
) -> None:
    """Write selected.json and, beside it, the selected weights and the ratings of F and teacher.

    validation_paths: of this iteration's models. stages: which of their stages may be selected.
    mean_validation: validation.json of the mean that teaches, beside its members.json and ratings;
    without it F does. previous: what was selected in the iteration before, where F of then stays in
    the running; it goes first, so that a new model has to be better than it, not equal.

    selected.json is an ensemble too (ensemble.members_of): its members are the teacher.
    """
    out = Path(out)
    before = _before(previous)
    candidates = [*before, *(c for p in validation_paths for c in candidates_of(p, stages))]
    winner = best(candidates, by.criterion)
    teacher = candidates_of(mean_validation, ["ensemble"])[0] if mean_validation else winner
    with replacing(out.with_suffix(".safetensors")) as temporary:
        shutil.copyfile(previous.weights if winner in before else winner.weights, temporary)
    _write_ratings(out.with_suffix(".ratings.csv"), winner, teacher, stamp)
    among = compared(candidates, by)
    report = {
        "selected": winner.described(),
        "by": f"validation_{by.criterion}",
        "among": among,
        "near_ties": [row["weights"] for row in among if row["tie"]],
        "teacher": teacher.described(),
        "stamp": dict(stamp),
    }
    if teacher is winner:
        members = Ensemble.of_one(winner.weights)
    else:
        members = ensemble.read(teacher.weights)
    write_json(out, report | members.described(out.parent))
    write_how(out, stamp)


def _before(previous: Previous | None) -> list[Candidate]:
    """F of the iteration before, from its selected.json and ratings."""
    if previous is None:
        return []
    told = read_json(previous.report)[SELECTED]
    return [Candidate(**told, ratings=ratings_table.read(previous.ratings), scorer=SELECTED)]


def _write_ratings(
    path: Path, winner: Candidate, teacher: Candidate, stamp: Mapping[str, Any]
) -> None:
    scorers = {SELECTED: winner, TEACHER: teacher}
    table = replace(
        winner.ratings,
        scores={name: one.ratings.scores[one.scorer] for name, one in scorers.items()},
        ranks={name: one.ratings.ranks[one.scorer] for name, one in scorers.items()},
    )
    ratings_table.write(path, table)
    write_how(path, stamp)
