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
    mean_validation: validation.json of the mean of this iteration's members, beside its
    members.json and ratings, where it may teach. previous: what was selected in the iteration
    before, where F and teacher of then stay in the running; they go first, so that a new model has
    to be better than them, not equal.

    selected.json is an ensemble too (ensemble.members_of): its members are the teacher, that is F
    alone or, if it is better on validation, the mean of an iteration's members.
    """
    out = Path(out)
    before = _before(previous)
    candidates = [*before[:1], *(c for p in validation_paths for c in candidates_of(p, stages))]
    winner = best(candidates, by.criterion)
    teacher = _teacher(winner, before, mean_validation, by)
    with replacing(out.with_suffix(".safetensors")) as temporary:
        stays = bool(before) and winner is before[0]
        shutil.copyfile(previous.weights if stays else winner.weights, temporary)
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
        members = Ensemble.of_one(out.with_suffix(".safetensors"))
    else:
        members = ensemble.read(previous.report if teacher in before else teacher.weights)
    write_json(out, report | members.described(out.parent))
    write_how(out, stamp)


def _before(previous: Previous | None) -> list[Candidate]:
    """F and the teacher of the iteration before, from its selected.json and ratings."""
    if previous is None:
        return []
    report = read_json(previous.report)
    ratings = ratings_table.read(previous.ratings)
    return [Candidate(**report[name], ratings=ratings, scorer=name) for name in (SELECTED, TEACHER)]


def _teacher(
    winner: Candidate,
    before: Sequence[Candidate],
    mean_validation: str | Path | None,
    by: Comparison,
) -> Candidate:
    # A single model of before is no better than F, or it would be F still.
    teachers = [*(one for one in before[1:] if one.stage == "ensemble"), winner]
    if mean_validation:
        teachers += candidates_of(mean_validation, ["ensemble"])
    return best(teachers, by.criterion)


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
