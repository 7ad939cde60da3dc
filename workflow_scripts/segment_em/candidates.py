"""Models that validation compares: what it says of each, and how sure a difference is.

B bootstrap replicates
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from segment_em import ratings_table
from segment_em.errors import InputError
from segment_em.files import read_json
from segment_em.ratings_table import RatingScores


@dataclass(frozen=True)
class Comparison:
    """How candidates are compared: a criterion of metrics.CRITERIA, and draws of the rated videos.

    The draws are the same for all candidates.
    """

    criterion: str
    replicates: int
    seed: int


@dataclass(frozen=True, eq=False)
class Candidate:
    """What may be selected: where it lies, what validation says of it, and its ratings.

    weights: weights, or a members.json. stage: pretrained, finetuned or ensemble. ratings: the
    table, scorer: the columns in it that are this candidate's.
    """

    weights: str
    stage: str
    validation_map: float
    validation_map_sd: float
    validation_weighted_map: float
    validation_weighted_map_sd: float
    ratings: RatingScores
    scorer: str

    def described(self) -> dict[str, Any]:
        """What JSON tells of it."""
        told = (field.name for field in fields(self) if field.name not in ("ratings", "scorer"))
        return {name: getattr(self, name) for name in told}

    def value(self, criterion: str) -> float:
        """What validation says of it by a criterion, in [0, 1]."""
        return getattr(self, f"validation_{criterion}")

    def sd(self, criterion: str) -> float:
        """The standard deviation of that, None where there is none."""
        return getattr(self, f"validation_{criterion}_sd")


def candidates_of(validation_path: str | Path, stages: Sequence[str]) -> list[Candidate]:
    """The given stages of one model (or "ensemble"), from its validation.json and ratings."""
    path = Path(validation_path)
    results = read_json(path)["results"]
    ratings = ratings_table.read(ratings_table.beside(path))
    return [
        Candidate(
            results[stage]["scorer"],
            stage,
            *(
                results[stage][name]
                for name in ("map", "map_sd", "weighted_map", "weighted_map_sd")
            ),
            ratings,
            stage,
        )
        for stage in stages
    ]


def best(candidates: Sequence[Candidate], criterion: str) -> Candidate:
    """The best candidate on validation by a criterion; the earlier one if two are equal."""
    return max(candidates, key=lambda candidate: candidate.value(criterion))


def difference(candidate: Candidate, other: Candidate, by: Comparison) -> tuple[float, float]:
    """How much better the candidate is on validation than the other, and its standard error.

    The standard error is that of the paired bootstrap over videos: both are measured on the same
    draws, so that what is hard about a video does not count. nan where no two draws have positives.
    Raises InputError if the two were not rated on the same segments.
    """
    pairs = (candidate.ratings, other.ratings)
    for name in ("video_ids", "starts", "classes", "positive"):
        if not np.array_equal(*(getattr(ratings, name) for ratings in pairs)):
            raise InputError(
                f"{candidate.weights} and {other.weights} were validated on other ratings; "
                "validate both again"
            )
    map_B, other_B = (
        one.ratings.bootstrap_map(one.scorer, by.replicates, by.seed, by.criterion)
        for one in (candidate, other)
    )
    difference_B = (map_B - other_B)[~np.isnan(map_B - other_B)]
    error = difference_B.std(ddof=1) if len(difference_B) > 1 else np.nan
    return candidate.value(by.criterion) - other.value(by.criterion), float(error)
