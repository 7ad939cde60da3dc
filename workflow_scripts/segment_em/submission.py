"""The best segments of each class, as the challenge's server took them.

N segments, C classes, E candidates
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from segment_em.errors import InputError
from segment_em.files import replacing

# Rows taken in at a time, so that many small chunks cost no more than a few large ones.
SLAB_ROWS = 2048


class TopSegments:
    """The best k segments of each class out of any number of chunks, in bounded memory.

    Ranked by score, best first, equal scores by row (as metrics.rank_rated ranks), so the result
    does not depend on the chunks or their order. Holds 12 bytes × k × classes.
    """

    def __init__(self, classes: int, k: int) -> None:
        assert k > 0
        self._k = k
        # A candidate is one number (see _keys). The spare half lets candidates gather before the
        # worst are dropped; memory that no candidate has reached is never touched.
        self._candidates_CE = np.empty((classes, k + max(k // 2, SLAB_ROWS)), np.uint64)
        self._filled_C = np.zeros(classes, np.int64)
        self._worst_C = np.full(classes, -np.inf, np.float32)
        self._slab_CN = np.empty((classes, SLAB_ROWS), np.float32)
        self._slab_rows = np.empty(SLAB_ROWS, np.uint64)
        self._slab_filled = 0

    def add(self, scores_NC: np.ndarray, row_N: np.ndarray) -> None:
        """Take in a chunk: scores float32 or float16 [N, C]; row_N int [N], one number a segment.

        A row in [0, 2^32) comes at most once; rows that are left out stay out of the submission.
        Raises InputError where a score is nan.
        """
        assert scores_NC.dtype in (np.float32, np.float16)  # a wider type would lose its order
        assert scores_NC.shape == (len(row_N), len(self._filled_C))
        assert len(row_N) == 0 or (row_N.min() >= 0 and row_N.max() < 2**32)
        start = 0
        while start < len(row_N):
            stop = min(len(row_N), start + SLAB_ROWS - self._slab_filled)
            self._stage(scores_NC[start:stop], row_N[start:stop])
            start = stop

    def best(self, column: int) -> np.ndarray:
        """Rows of the best k segments of a class, best first: int64 [at most k]."""
        if self._slab_filled:
            self._take_slab()
        keys_E = np.sort(self._candidates_CE[column, : self._filled_C[column]])[: self._k]
        return (keys_E & np.uint64(0xFFFFFFFF)).astype(np.int64)

    def _stage(self, scores_NC: np.ndarray, row_N: np.ndarray) -> None:
        # The minimum is nan if any score is: one fast pass.
        if np.isnan(scores_NC.min()):
            row, column = np.argwhere(np.isnan(scores_NC))[0]
            raise InputError(
                f"scores: segment {row_N[row]}, column {column} is nan, so that it has no rank: "
                f"predict again with a model whose training did not diverge"
            )
        to = slice(self._slab_filled, self._slab_filled + len(row_N))
        self._slab_CN[:, to] = scores_NC.T
        self._slab_rows[to] = row_N
        self._slab_filled = to.stop
        if self._slab_filled == SLAB_ROWS:
            self._take_slab()

    def _take_slab(self) -> None:
        slab_CN = self._slab_CN[:, : self._slab_filled]
        rows_N = self._slab_rows[: self._slab_filled]
        for column, scores_N in enumerate(slab_CN):
            at_E = np.flatnonzero(scores_N >= self._worst_C[column])
            self._append(column, _keys(scores_N[at_E], rows_N[at_E]))
        self._slab_filled = 0

    def _append(self, column: int, keys_E: np.ndarray) -> None:
        candidates_E = self._candidates_CE[column]
        filled = self._filled_C[column]
        if filled + len(keys_E) > len(candidates_E):
            candidates_E[:filled].partition(self._k - 1)
            self._worst_C[column] = _score(candidates_E[self._k - 1])
            filled = self._k
        candidates_E[filled : filled + len(keys_E)] = keys_E
        self._filled_C[column] = filled + len(keys_E)


def _keys(score_E: np.ndarray, row_E: np.ndarray) -> np.ndarray:
    """One uint64 a segment that sorts like (score descending, row ascending).

    The bits of positive floats sort like the floats, those of negative ones the other way round.
    """
    bits_E = (score_E + np.float32(0)).view(np.uint32)  # adding 0 turns -0.0 into 0.0
    descending_E = np.where(bits_E >> 31 == 0, bits_E ^ 0x7FFFFFFF, bits_E)
    return descending_E.astype(np.uint64) << np.uint64(32) | row_E


def _score(key: np.uint64) -> np.float32:
    descending = np.uint32(key >> np.uint64(32))
    return (descending if descending >> 31 else descending ^ np.uint32(0x7FFFFFFF)).view(np.float32)


def check_ids(video_ids: Iterable[str]) -> None:
    """Raise InputError where a video id cannot stand in a submission.

    The format has no quoting: an id must not be empty nor contain white space, a comma, a colon or
    a double quote.
    """
    for video_id in sorted(map(str, video_ids)):
        if not video_id or any(c.isspace() or c in ',:"' for c in video_id):
            raise InputError(
                f"video id {video_id!r}: a submission cannot hold an id that is empty or has white "
                f"space, comma, colon or double quote: rename the video in its records, or set "
                "evaluation.submission: false"
            )


def write_submission(
    path: str | Path,
    class_ids: Sequence[int],
    top: TopSegments,
    video_ids: Sequence[str],
    starts: Sequence[int],
) -> None:
    """Write `Class,Segments`, then a line a class: its id, a comma, `video_id:start` best first.

    class_ids: ascending, one a column of `top`. video_ids, starts: of each row that `top` took in,
    the id of its video and its start in seconds. Raises InputError as check_ids does.
    """
    assert all(a < b for a, b in pairwise(class_ids))
    names = set(video_ids)
    check_ids(names)
    longest = max((len(name.encode()) for name in names), default=0)
    longest += len(f":{max(starts, default=0)}")
    # Side by side in one array: picking them out of a list of objects takes four times as long.
    segment_N = np.fromiter(
        (f"{v}:{s}".encode() for v, s in zip(video_ids, starts, strict=True)), f"S{longest}"
    )
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(b"Class,Segments\n")
        for column, class_id in enumerate(class_ids):
            best = segment_N[top.best(column)].tolist()
            file.write(b"%d,%b\n" % (class_id, b" ".join(best)))
