"""Who is a member of an ensemble, and how much each counts, by validation."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from segment_em import ensemble
from segment_em.candidates import Candidate, Comparison, best, candidates_of, difference
from segment_em.ensemble import Ensemble
from segment_em.errors import InputError
from segment_em.files import read_json, write_json
from segment_em.provenance import write_how
from segment_em.terms import FINETUNED


def equal_weights(maps: np.ndarray, sds: np.ndarray) -> np.ndarray:
    """The paper's: each member counts the same."""
    return np.full(len(maps), 1 / len(maps))


def validation_weights(maps: np.ndarray, sds: np.ndarray) -> np.ndarray:
    """Weights that fall by a factor of e with each standard error below the best member.

    maps, sds: float [members], mAP on validation and its standard deviation; the standard error is
    that of the difference to the best, the two taken as independent. Members that validation
    cannot tell apart count about the same, far worse ones next to nothing. Returns float64
    [members] that sum to 1.
    """
    best = maps.argmax()
    errors = np.maximum(np.hypot(sds, sds[best]), np.finfo(float).tiny)
    weights = np.exp((maps - maps[best]) / errors)
    return weights / weights.sum()


RULES = {"equal": equal_weights, "validation": validation_weights}


@dataclass(frozen=True)
class Joining:
    """How members are weighed and joined. weights: a name in RULES; the rest: see Ensemble."""

    weights: str
    join: str
    video_filter: float
    shifts: Sequence[int]


class Part(NamedTuple):
    """What is weighed as one: a member, or the teacher of the iteration before, of several models.

    value, sd: what validation says of it by the criterion, and its standard deviation. files: each
    weights file that joins, and its share of the part; shares sum to 1. judged: for each file, what
    members.json tells of what validation judged in its place.
    """

    value: float
    sd: float
    files: tuple[tuple[Path, float], ...]
    judged: tuple[dict[str, Any], ...]


def weigh(
    validation_paths: Sequence[str | Path],
    earlier_paths: Sequence[str | Path],
    joins: Mapping[str, str],
    before: str | Path | None,
    joining: Joining,
    by: Comparison,
    out: str | Path,
    stamp: Mapping[str, Any],
) -> None:
    """Write members.json: the fine-tuned members with their weights, paths relative to it.

    validation_paths: the members' validation.json. earlier_paths: those of earlier iterations'
    members, of which one stands in for its later self where it is better beyond noise. before:
    selected.json of an iteration whose teacher joins too. joins: for the weights that validation
    judged of any of these models, what joins in their place: the same, or fine-tuned again. Raises
    InputError where weights by validation are asked for and it does not tell its noise.
    """
    joining_of = {Path(judged): Path(weights) for judged, weights in joins.items()}
    earlier = {path: candidates_of(path, [FINETUNED])[0] for path in map(Path, earlier_paths)}
    folder = Path(out).parent
    parts = [_teacher(before, joining_of, by.criterion, folder)] if before else []
    for path in map(Path, validation_paths):
        selves = [one for other, one in earlier.items() if other.parent.name == path.parent.name]
        member = better_self(candidates_of(path, [FINETUNED])[0], selves, by)
        parts.append(_member(member, joining_of, by.criterion, folder))
    weights = _weights(parts, joining.weights)
    pairs = tuple(
        (file, float(weight) * share)
        for part, weight in zip(parts, weights, strict=True)
        for file, share in part.files
    )
    found = Ensemble(pairs, joining.join, joining.video_filter, tuple(joining.shifts))
    told = found.described(folder)
    judged = [told_of for part in parts for told_of in part.judged]
    for row, validated in zip(told["members"], judged, strict=True):
        row["validated"] = validated
    write_json(out, {"rule": joining.weights, **told, "stamp": dict(stamp)})
    write_how(out, stamp)


def _member(member: Candidate, joins: Mapping[Path, Path], criterion: str, folder: Path) -> Part:
    weights = Path(member.weights)
    judged = member.described() | {"weights": os.path.relpath(weights, folder)}
    files = ((joins[weights], 1.0),)
    return Part(member.value(criterion), member.sd(criterion), files, (judged,))


def _teacher(
    selected: str | Path, joins: Mapping[Path, Path], criterion: str, folder: Path
) -> Part:
    """The teacher of a selected.json, which validation judged as a whole."""
    told = read_json(selected)["teacher"]
    members = ensemble.members_of(selected)
    total = sum(weight for _, weight in members)
    files = tuple((joins[file], weight / total) for file, weight in members)
    judged = tuple({"weights": os.path.relpath(file, folder)} for file, _ in members)
    value, sd = (told[f"validation_{criterion}{end}"] for end in ("", "_sd"))
    return Part(value, sd, files, judged)


def _weights(parts: Sequence[Part], rule: str) -> np.ndarray:
    if len(parts) == 1:
        return np.ones(1)
    values = np.array([part.value for part in parts])
    sds = np.array([part.sd for part in parts], float)
    if rule == "validation" and np.isnan(sds).any():
        raise InputError(
            "weights by validation need to know how sure it is, and no two draws of its videos "
            "have a positive rating: rate more, raise data.validation_fraction or "
            "evaluation.bootstrap_replicates, or set ensemble.weights: equal and em.teacher: best"
        )
    return RULES[rule](values, sds)


def better_self(latest: Candidate, earlier: Sequence[Candidate], by: Comparison) -> Candidate:
    """The member as of an earlier iteration if that is better by more than one standard error.

    The standard error is that of the paired difference, so that validation's noise alone changes
    no member. earlier: the same member, of any iterations before. Of several, the best.
    """
    found = [latest]
    for candidate in earlier:
        value, error = difference(candidate, latest, by)
        if value > error:
            found.append(candidate)
    return best(found, by.criterion)
