"""Who is a member of an ensemble, and how much each counts, by validation."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segment_em.candidates import Candidate, Comparison, best, candidates_of, difference
from segment_em.ensemble import Ensemble
from segment_em.errors import InputError
from segment_em.files import write_json
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


def weigh(
    validation_paths: Sequence[str | Path],
    earlier_paths: Sequence[str | Path],
    weight_paths: Sequence[str | Path],
    joining: Joining,
    by: Comparison,
    out: str | Path,
    stamp: Mapping[str, Any],
) -> None:
    """Write members.json: the fine-tuned members with their weights, paths relative to it.

    validation_paths: the members' validation.json. earlier_paths: those of earlier iterations'
    members, of which one stands in for its later self where it is better beyond noise.
    weight_paths: what joins of each of these, which may have been fine-tuned again. Raises
    InputError where weights by validation are asked for and it does not tell its noise.
    """
    joins = {
        candidates_of(path, [FINETUNED])[0].weights: Path(weights)
        for path, weights in zip([*validation_paths, *earlier_paths], weight_paths, strict=True)
    }
    earlier = {path: candidates_of(path, [FINETUNED])[0] for path in map(Path, earlier_paths)}
    members = []
    for path in map(Path, validation_paths):
        selves = [one for other, one in earlier.items() if other.parent.name == path.parent.name]
        members.append(better_self(candidates_of(path, [FINETUNED])[0], selves, by))
    maps = np.array([member.value(by.criterion) for member in members])
    sds = np.array([member.sd(by.criterion) for member in members], float)
    if joining.weights == "validation" and np.isnan(sds).any():
        raise InputError(
            "ensemble.weights: validation needs to know how sure validation is, and no two draws "
            "of its videos have a positive rating: rate more, raise data.validation_fraction or "
            "evaluation.bootstrap_replicates, or set equal"
        )
    weights = RULES[joining.weights](maps, sds)
    pairs = tuple(
        (joins[member.weights], float(weight))
        for member, weight in zip(members, weights, strict=True)
    )
    found = Ensemble(pairs, joining.join, joining.video_filter, tuple(joining.shifts))
    told = found.described(Path(out).parent)
    for row, member in zip(told["members"], members, strict=True):
        judged = {"weights": os.path.relpath(member.weights, Path(out).parent)}
        row["validated"] = member.described() | judged
    write_json(out, {"rule": joining.weights, **told, "stamp": dict(stamp)})
    write_how(out, stamp)


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
