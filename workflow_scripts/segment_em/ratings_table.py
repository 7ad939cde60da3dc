"""The scores behind a mAP: a row a rating, so that AP and paired bootstraps can be taken again.

Without pandas, whose import would take each job that scores 0.4 s.

R ratings, B bootstrap replicates
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segment_em import metrics
from segment_em.errors import InputError
from segment_em.files import quoted, replacing

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
        _, first, group = np.unique(self.video_ids, return_index=True, return_inverse=True)
        video = first.argsort().argsort()[group]
        return metrics.Rated(np.arange(len(column)), column, self.positive, video)

    def bootstrap_map(self, scorer: str, replicates: int, seed: int, criterion: str) -> np.ndarray:
        """float64 [B]: the scorer's mAP in each replicate, see metrics.bootstrap_map.

        The draws are those of the evaluation that wrote the table, so replicates of all scorers of
        tables with the same ratings are pairs.
        """
        rated = self.rated()
        classes = int(rated.column.max(initial=-1)) + 1
        ranks = self.ranks[scorer]
        return metrics.bootstrap_map(ranks, rated, classes, replicates, seed, criterion)


def beside(evaluation: str | Path) -> str:
    """The table that belongs to a validation.json or test.json."""
    return str(Path(evaluation).with_suffix(".ratings.csv"))


def write(path: str | Path, table: RatingScores) -> None:
    """Write a CSV with KEYS and, for each scorer, <name>_score and <name>_rank, as RFC 4180.

    Scores are written with as many digits as float32 needs; equal tables give equal bytes.
    """
    columns = dict(
        zip(
            KEYS,
            (table.video_ids, table.starts, table.classes, table.positive.astype(int)),
            strict=True,
        )
    )
    for name, score_R in table.scores.items():
        text_R = score_R.astype(np.float32).astype(str)
        columns[name + SCORE] = np.where(np.isnan(score_R), "", text_R)
        columns[name + RANK] = table.ranks[name]
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        for row in (columns, *rows):
            file.write(",".join(quoted(str(cell)) for cell in row) + "\n")


def read(path: str | Path) -> RatingScores:
    """Read a table back. Raises InputError if the file is not one."""
    try:
        columns = _columns(path)
        names = [key.removesuffix(RANK) for key in columns if key.endswith(RANK)]
        return RatingScores(
            np.array(columns["video_id"], dtype=object),
            np.array(columns["start"], np.int64),
            np.array(columns["class"], np.int64),
            np.array(columns["positive"], np.int64).astype(bool),
            {name: _scores(columns[name + SCORE]) for name in names},
            {name: np.array(columns[name + RANK], np.int64) for name in names},
        )
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise InputError(
            f"{path}: not a table of ratings ({error!r}); delete it to make it anew"
        ) from None


def _columns(path: str | Path) -> dict[str, Sequence[str]]:
    """Column name -> texts. Raises ValueError where a row has another number of fields."""
    with open(path, encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    if not rows:
        return dict.fromkeys(header, ())
    return dict(zip(header, zip(*rows, strict=True), strict=True))


def _scores(texts: Sequence[str]) -> np.ndarray:
    """float32 [R], nan where nothing is written."""
    return np.array([text or "nan" for text in texts], np.float32)
