"""mAP@100,000 over 2 M segments x 1,000 classes with 240,000 ratings, beside plain Python.

The definition in plain Python takes more than an hour at this size, so it ranks a few classes and
its seconds are scaled to all of them; every class costs it the same. Ours reads the scores from a
file, as the job does; plain Python gets them as lists.
"""

import tempfile
from pathlib import Path

import numpy as np
from measure import Row, compared, run, seconds, side_by_side

from segment_em.metrics import Evaluation, Rated, evaluate

CUT = 100_000
WHAT = "mAP@100,000 of the whole test set"


def sizes(quick: bool) -> dict:
    if quick:
        return {"segments": 3000, "classes": 10, "ratings": 300, "plain_classes": 2}
    return {
        "segments": 2_062_258,
        "classes": 1000,
        "ratings": 240_000,
        "plain_classes": 2,
    }


def measured(quick: bool) -> list[Row]:
    size = sizes(quick)
    with tempfile.TemporaryDirectory() as folder:
        scores_NC = random_scores(Path(folder) / "scores", size["segments"], size["classes"])
        rated = random_ratings(**size)
        # In lists beforehand: reading a column of the file is no part of the definition.
        columns = [scores_NC[:, column].tolist() for column in range(size["plain_classes"])]
        require_equal(scores_NC, rated, columns)
        ours, plain = side_by_side(
            [
                lambda: seconds(lambda: whole(scores_NC, rated)),
                lambda: seconds(lambda: [definition(c, rated, i) for i, c in enumerate(columns)]),
            ],
            repeats=5,
        )
    plain = [one * size["classes"] / len(columns) for one in plain]
    against = f"the definition in plain Python, from {len(columns)} of {size['classes']} classes"
    return [compared(WHAT, "a second", 1, ours, against, plain, at_least=100)]


def require_equal(scores_NC: np.ndarray, rated: Rated, columns: list[list[float]]) -> None:
    """Both sides do the same work: they must give the same average precision."""
    ap_C = whole(scores_NC, rated).ap_C
    for number, scores in enumerate(columns):
        np.testing.assert_allclose(ap_C[number], definition(scores, rated, number), rtol=1e-12)


def random_scores(path: Path, segments: int, classes: int) -> np.ndarray:
    """float32 [N, C] on disk, rounded to 20 bits, so that there are ties."""
    scores_NC = np.memmap(path, np.float32, "w+", shape=(segments, classes))
    random = np.random.default_rng(0)
    for start in range(0, segments, 20_000):
        part = scores_NC[start : start + 20_000]
        part[:] = random.integers(0, 1 << 20, part.shape, np.int32) / np.float32(1 << 20)
    return scores_NC


def random_ratings(segments: int, classes: int, ratings: int, plain_classes: int) -> Rated:
    """As many ratings of each class; more than half positive."""
    random = np.random.default_rng(1)
    pairs = random.choice(segments * classes, ratings, replace=False)
    row, column = pairs // classes, pairs % classes
    return Rated(row, column, random.random(ratings) < 0.557, row // 50)


def whole(scores_NC: np.ndarray, rated: Rated) -> Evaluation:
    """All classes; the bootstrap, which the definition has not, with the fewest draws."""
    return evaluate(scores_NC, rated, CUT, replicates=2, seed=0)


def definition(scores: list[float], rated: Rated, column: int) -> float:
    """Average precision of one class: sort all segments, cut, walk."""
    of_class = np.flatnonzero(rated.column == column)
    occurs = dict(zip(rated.row[of_class].tolist(), rated.positive[of_class].tolist(), strict=True))
    ranked = sorted(range(len(scores)), key=lambda segment: (-scores[segment], segment))
    seen = hits = total = 0
    for segment in ranked[:CUT]:
        if segment in occurs:
            seen += 1
            if occurs[segment]:
                hits += 1
                total += hits / seen
    return total / sum(occurs.values())


if __name__ == "__main__":
    run(measured, __doc__, sizes)
