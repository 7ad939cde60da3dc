"""Dense scores of segments on disk, one HDF5 file a chunk: the ensemble's view of the test set.

float32, since the metric lives off the order of scores and float16 would make ties of many.
The layout is stated in docs/format.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from segment_em.errors import InputError
from segment_em.hdf5_writing import replacing_hdf5

ENCODING_TYPE = "segment-em-predictions"
ENCODING_VERSION = "1.0"


@dataclass(frozen=True)
class Predictions:
    """One chunk. scores: float32 [N, C] in [0, 1], mapped from disk, segments video by video.

    video_ids: [V]. video_indptr: int64 [V + 1], first segment of each video. frames: int64 [V],
    frames of each video (cut at max_frames). class_ids: int64 [C]. segment_frames: frames each.
    """

    scores: np.ndarray
    video_ids: np.ndarray
    video_indptr: np.ndarray
    frames: np.ndarray
    class_ids: np.ndarray
    segment_frames: int


def write_predictions(
    path: str | Path,
    parts: Iterable[np.ndarray],
    video_ids: np.ndarray,
    frames: np.ndarray,
    class_ids: np.ndarray,
    segment_frames: int,
    attributes: Mapping[str, str],
) -> None:
    """Write a chunk from its scores in parts, [n, C] each, in the order of the videos.

    Raises InputError if a score is not finite, ValueError if the parts do not add up.
    """
    indptr = np.concatenate([[0], (-(-frames // segment_frames)).cumsum()]).astype(np.int64)
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
            if not np.isfinite(part).all():
                raise InputError(f"{path}: a model gave scores that are not finite; train it again")
            scores[first : first + len(part)] = part
            first += len(part)
        if first != shape[0]:
            raise ValueError(f"{path}: {first} segments scored, the videos have {shape[0]}")


def read_predictions(path: str | Path) -> Predictions:
    """Open a chunk. Raises InputError on a foreign, newer or damaged file."""
    try:
        with h5py.File(path, "r") as file:
            found = (file.attrs.get("encoding-type"), file.attrs.get("encoding-version"))
            if found != (ENCODING_TYPE, ENCODING_VERSION):
                raise InputError(
                    f"{path}: encoding is {found[0]} {found[1]}, this version reads "
                    f"{ENCODING_TYPE} {ENCODING_VERSION}; make the file again"
                )
            scores = file["scores"]
            mapped = np.empty(scores.shape, np.float32)
            if scores.size:
                mapped = np.memmap(
                    path, np.float32, "r", offset=scores.id.get_offset(), shape=scores.shape
                )
            return Predictions(
                mapped,
                file["videos/id"].asstr()[:],
                file["videos/indptr"][:],
                file["videos/frames"][:],
                file["classes"][:],
                int(file.attrs["segment_frames"]),
            )
    except (OSError, KeyError) as error:
        raise InputError(f"{path}: not a whole prediction file ({error}); delete it") from None
