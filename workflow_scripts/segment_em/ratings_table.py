"""The scores behind a mAP: a row a rating, so that AP and paired bootstraps can be taken again.

R ratings, B bootstrap replicates
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from segment_em import metrics
from segment_em.errors import InputError
from segment_em.files import replacing

KEYS = ["video_id", "start", "class", "positive"]
SCORE, RANK = "_score", "_rank"


@dataclass(frozen=True)
class RatingScores:
    """What scorers gave to the same ratings, in the order of the index.

    video_ids: [R]. starts: int64 [R], first second of the segment. classes: int64 [R], class ids.
    positive: bool [R]. scores: {scorer: float32 [R] in [0, 1]}, nan where the segment lies past
    the video's end. ranks: {scorer: int64 [R]}, as metrics.rank_rated.
    """

    video_ids: np.ndarray
    starts: np.ndarray
    classes: np.ndarray
    positive: np.ndarray
    scores: Mapping[str, np.ndarray]
    ranks: Mapping[str, np.ndarray]

    def rated(self) -> metrics.Rated:
        """The ratings for the metric: classes and videos numbered in the order of the index.

        The rows are those of this table, for there are no others.
        """
        _, column = np.unique(self.classes, return_inverse=True)
        video, _ = pd.factorize(self.video_ids)
        return metrics.Rated(np.arange(len(column)), column, self.positive, video)

    def bootstrap_map(self, scorer: str, replicates: int, seed: int) -> np.ndarray:
        """float64 [B]: the scorer's mAP in each replicate, see metrics.bootstrap_map.

        The draws are those of the evaluation that wrote the table, so replicates of all scorers of
        tables with the same ratings are pairs.
        """
        rated = self.rated()
        classes = int(rated.column.max(initial=-1)) + 1
        return metrics.bootstrap_map(self.ranks[scorer], rated, classes, replicates, seed)


def beside(evaluation: str | Path) -> str:
    """The table that belongs to a validation.json or test.json."""
    return str(Path(evaluation).with_suffix(".ratings.csv"))


def write(path: str | Path, table: RatingScores) -> None:
    """Write a CSV with KEYS and, for each scorer, <name>_score and <name>_rank.

    Scores are written with as many digits as float32 needs; equal tables give equal bytes.
    """
    frame = pd.DataFrame(
        dict(
            zip(
                KEYS,
                (table.video_ids, table.starts, table.classes, table.positive.astype(int)),
                strict=True,
            )
        )
    )
    for name, score_R in table.scores.items():
        frame[name + SCORE] = score_R.astype(np.float32)
        frame[name + RANK] = table.ranks[name]
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def read(path: str | Path) -> RatingScores:
    """Read a table back. Raises InputError if the file is not one."""
    try:
        frame = pd.read_csv(path, dtype={"video_id": str}, keep_default_na=False, na_values=[""])
        video_ids, starts, classes, positive = (frame[key].to_numpy() for key in KEYS)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not a table of ratings ({error!r}); make it again") from None
    names = [key.removesuffix(RANK) for key in frame.columns if key.endswith(RANK)]
    return RatingScores(
        video_ids,
        starts.astype(np.int64),
        classes.astype(np.int64),
        positive.astype(bool),
        {name: frame[name + SCORE].to_numpy(np.float32) for name in names},
        {name: frame[name + RANK].to_numpy(np.int64) for name in names},
    )
