"""Dense scores of segments on disk, one HDF5 file a chunk: the ensemble's view of the test set.

float32, since the metric lives off the order of scores and float16 would make ties of many.
The layout is stated in docs/format.md.
"""

# N segments, C classes

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from segment_em import hdf5
from segment_em.hdf5_writing import replacing_hdf5
from segment_em.index import indptr_of, segments_of

ENCODING_TYPE = "segment-em-predictions"
ENCODING_VERSION = "1.0"
SLAB_ROWS = 10_000  # segments whose scores are looked at at a time


@dataclass(frozen=True)
class Predictions:
    """One chunk. scores: float32 [N, C] in [0, 1], mapped from disk, segments video by video; what
    reads through them takes `slabs`.

    video_ids: [V]. video_indptr: int64 [V + 1], first segment of each video. frames: int64 [V],
    frames of each video (cut at max_frames). class_ids: int64 [C]. segment_frames: frames each.
    """

    scores: np.ndarray
    video_ids: np.ndarray
    video_indptr: np.ndarray
    frames: np.ndarray
    class_ids: np.ndarray
    segment_frames: int

    def slabs(self) -> Iterator[tuple[slice, np.ndarray]]:
        """All scores, some segments after the others: their rows, and float32 [n, C]."""
        return _slabs(self.scores)


def write_predictions(
    path: str | Path,
    parts: Iterable[np.ndarray],
    video_ids: np.ndarray,
    frames: np.ndarray,
    class_ids: np.ndarray,
    segment_frames: int,
    attributes: Mapping[str, str],
) -> None:
    """Write a chunk from its scores in parts, finite [n, C] each, in the order of the videos.

    Raises ValueError if the parts do not add up.
    """
    indptr = indptr_of(segments_of(frames, segment_frames))
    with replacing_hdf5(path, "v110") as file:
        file.attrs["encoding-type"] = ENCODING_TYPE
        file.attrs["encoding-version"] = ENCODING_VERSION
        file.attrs["segment_frames"] = segment_frames
        for key, value in attributes.items():
            file.attrs[key] = value
        ids = np.array([str(name).encode() for name in video_ids], dtype=object)
        file.create_dataset("videos/id", data=ids, dtype=h5py.string_dtype())
        file.create_dataset("videos/indptr", data=indptr)
        file.create_dataset("videos/frames", data=np.asarray(frames, np.int64))
        file.create_dataset("classes", data=np.asarray(class_ids, np.int64))
        shape = (int(indptr[-1]), len(class_ids))
        scores = file.create_dataset("scores", shape, np.float32)
        first = 0
        for part in parts:
            scores[first : first + len(part)] = part
            first += len(part)
        if first != shape[0]:
            raise ValueError(f"{path}: {first} segments scored, the videos have {shape[0]}")


def read_predictions(path: str | Path) -> Predictions:
    """Open a chunk. Raises InputError on a foreign, newer or damaged file."""
    name = str(path)
    with hdf5.opened(path) as file:
        hdf5.require_encoding(path, file, ENCODING_TYPE, ENCODING_VERSION)
        ids = np.array(hdf5.strings(name, file, "videos/id", hdf5.DELETE), object)
        indptr = hdf5.array(name, file, "videos/indptr", "i", len(ids) + 1, hdf5.DELETE)
        frames = hdf5.array(name, file, "videos/frames", "i", len(ids), hdf5.DELETE)
        class_ids = np.array(hdf5.mapped(name, file, "classes", np.int64, (-1,)))
        segments = int(indptr[-1])
        hdf5.require_indptr(name, "videos/indptr", indptr, segments, hdf5.DELETE)
        scores = hdf5.mapped(name, file, "scores", np.float32, (segments, len(class_ids)))
        segment_frames = int(file.attrs.get("segment_frames", 0))
    hdf5.require(
        segment_frames > 0 and np.array_equal(np.diff(indptr), segments_of(frames, segment_frames)),
        f"{path}: videos/frames do not make the segments of videos/indptr: {hdf5.DELETE}",
    )
    _check_scores(path, scores)
    return Predictions(scores, ids, indptr, frames, class_ids, segment_frames)


def read_all_predictions(paths: Iterable[str | Path]) -> list[Predictions]:
    """Open the chunks of one test set. Raises InputError as read_predictions, or if they differ."""
    paths = list(paths)
    chunks = [read_predictions(path) for path in paths]
    for path, chunk in zip(paths, chunks, strict=True):
        hdf5.require(
            np.array_equal(chunk.class_ids, chunks[0].class_ids)
            and chunk.segment_frames == chunks[0].segment_frames,
            f"{path}: {len(chunk.class_ids)} classes and segments of {chunk.segment_frames} frames "
            f"are not those of {paths[0]}: {hdf5.DELETE}",
        )
    return chunks


def _check_scores(path: str | Path, scores_NC: np.ndarray) -> None:
    for rows, slab in _slabs(scores_NC):
        low, high = float(slab.min(initial=0)), float(slab.max(initial=0))  # nan if any score is
        hdf5.require(
            low >= 0 and high <= 1,
            f"{path}: scores from {low} to {high} in segments {rows.start} to {rows.stop - 1}, "
            f"expected 0 to 1: {hdf5.DELETE}",
        )


def _slabs(scores_NC: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Each slab is let go of when the next is asked for, so that one at a time is resident."""
    for first in range(0, len(scores_NC), SLAB_ROWS):
        rows = slice(first, min(first + SLAB_ROWS, len(scores_NC)))
        yield rows, scores_NC[rows]
        hdf5.release(scores_NC)
