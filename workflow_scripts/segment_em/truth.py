"""What really occurs when, known where the records are simulated: to judge by, never to learn from.

S segments of a video, C classes, O occurrences
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np

from segment_em.errors import InputError

# What zipfile raises on bytes that it did not write.
DAMAGE = (BadZipFile, EOFError, NotImplementedError)


class Occurrences(NamedTuple):
    """When classes occur in one video, one entry each uninterrupted time.

    class_id: int64 [O]. start_frame, end_frame: int64 [O], end excluded; a frame a second.
    """

    class_id: np.ndarray
    start_frame: np.ndarray
    end_frame: np.ndarray


class Truth:
    """The truth of one split, as simulation/writing.py left it (.npz)."""

    def __init__(self, path: str | Path) -> None:
        """Raises InputError where the file cannot be read or lacks something."""
        self._path = path
        try:
            with np.load(path) as file:
                self._indptr, self._frames = file["indptr"], file["frames"]
                self._columns = Occurrences(*(file[name] for name in Occurrences._fields))
                self._row = {name: row for row, name in enumerate(file["video_ids"].tolist())}
        except (OSError, KeyError, ValueError, *DAMAGE) as error:
            raise InputError(f"{path}: not the truth of a split ({error}); simulate anew") from None

    def occurrences(self, video_id: str) -> Occurrences:
        """What occurs in a video. Raises InputError where the truth does not hold the video."""
        row = self._row_of(video_id)
        span = slice(self._indptr[row], self._indptr[row + 1])
        return Occurrences(*(column[span] for column in self._columns))

    def segments(
        self, video_id: str, class_ids: Sequence[int], segment_frames: int, max_frames: int
    ) -> np.ndarray:
        """bool [S, C]: whether a class fills at least half of the frames of a segment.

        class_ids: of the columns. max_frames: where the video is cut. Raises as `occurrences`.
        """
        frames = min(int(self._frames[self._row_of(video_id)]), max_frames)
        start_S = np.arange(0, frames, segment_frames)
        end_S = np.minimum(start_S + segment_frames, frames)
        covered_SC = np.zeros((len(start_S), len(class_ids)), np.int64)
        column_of = {int(name): column for column, name in enumerate(class_ids)}
        for name, start, end in zip(*self.occurrences(video_id), strict=True):
            if int(name) in column_of:
                overlap_S = np.minimum(end_S, end) - np.maximum(start_S, start)
                covered_SC[:, column_of[int(name)]] += np.maximum(0, overlap_S)
        return 2 * covered_SC >= (end_S - start_S)[:, None]

    def _row_of(self, video_id: str) -> int:
        try:
            return self._row[video_id]
        except KeyError:
            raise InputError(f"{self._path}: no video '{video_id}'; simulate anew") from None
