"""HDF5 files of one's own features, which are indexed where they lie (docs/format.md).

Shapes: V videos, N frames of all videos.
"""

# T frames, F features a frame

import logging
import math
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from segment_em import hdf5
from segment_em.annotations import distinct_labels, rated_segments
from segment_em.errors import InputError
from segment_em.index import Index, Modality, id_array, place_columns, quantisation
from segment_em.records import LONGEST_ID

log = logging.getLogger(__name__)

SEE_FORMAT = "see docs/format.md, own features"
FRAMES_AT_ONCE = 10_000  # that are looked through: 40 MB of 1,024 float32
# Root mean squares that the models' learning rates suit; YouTube-8M's are .5 and .7.
USUAL_SIZE = (0.1, 10.0)


def own_index(path: str, features: Mapping[str, int], segment_frames: int) -> Index:
    """Index of an HDF5 file of one's own features (docs/format.md)."""
    with hdf5.opened(path, "write or copy it again") as file:
        ids = _own_ids(path, file)
        videos = len(ids)
        label_indptr, class_id = _own_csr(path, file, "labels", {"indices": "iu"}, videos)
        raw = _own_csr(
            path, file, "ratings", {"start_second": "iu", "class_id": "iu", "score": "fiub"}, videos
        )
        return Index(
            [path],
            np.array([Path(path).stat().st_size], np.int64),
            ids,
            {
                name: _own_modality(path, file, name, width, videos)
                for name, width in features.items()
            },
            distinct_labels(label_indptr, class_id),
            rated_segments(path, ids, raw, segment_frames),
            np.full(videos, -1, np.int64),
            np.zeros(videos, np.uint32),
        )


def _own_ids(path: str, file: h5py.File) -> np.ndarray:
    ids = hdf5.strings(path, file, "video_ids", SEE_FORMAT)
    wrong = [i for i in ids if not 0 < len(i.encode()) <= LONGEST_ID or "\0" in i]
    if wrong:
        raise InputError(
            f"{path}: video_ids: {wrong[0]!r} is not 1 to {LONGEST_ID} bytes without NUL: rename it"
        )
    return id_array(ids)


def _own_csr(
    path: str, file: h5py.File, group: str, kinds: Mapping[str, str], videos: int
) -> tuple[np.ndarray, ...]:
    """indptr and the arrays of an optional group; class ids and seconds as int64, >= 0."""
    if group not in file:
        dtypes = [np.float32 if name == "score" else np.int64 for name in kinds]
        return np.zeros(videos + 1, np.int64), *(np.zeros(0, dtype) for dtype in dtypes)
    indptr = hdf5.array(path, file, f"{group}/indptr", "iu", videos + 1, SEE_FORMAT).astype(
        np.int64
    )
    total = int(indptr[-1])
    hdf5.require_indptr(path, f"{group}/indptr", indptr, total, SEE_FORMAT)
    arrays = []
    for name, kind in kinds.items():
        array = hdf5.array(path, file, f"{group}/{name}", kind, total, SEE_FORMAT)
        array = array.astype(np.float32 if name == "score" else np.int64)
        if (array < 0).any():
            raise InputError(f"{path}: {group}/{name}: {array.min()} is below 0: {SEE_FORMAT}")
        arrays.append(array)
    return indptr, *arrays


def _own_modality(path: str, file: h5py.File, name: str, width: int, videos: int) -> Modality:
    key = f"features/{name}/frames"
    if not isinstance(file.get(key), h5py.Dataset):
        raise InputError(
            f"{path}: dataset {key} is missing: add it or set data.features.{name}: null"
        )
    frames = file[key]
    dtype = _own_dtype(path, frames, width)
    indptr = hdf5.array(path, file, f"features/{name}/indptr", "iu", videos + 1, SEE_FORMAT)
    indptr = indptr.astype(np.int64)
    hdf5.require_indptr(path, f"features/{name}/indptr", indptr, len(frames), SEE_FORMAT)
    if frames.dtype.kind == "f":
        _look_through(path, frames)
    stride = width * np.dtype(dtype).itemsize
    start = frames.id.get_offset() or 0  # None where there are no frames
    scale, bias = _own_scale(path, frames) if dtype == "uint8" else (1.0, 0.0)
    places = np.stack([start + indptr[:-1] * stride, np.full(videos, stride), np.diff(indptr)], 1)
    return Modality(width, dtype, scale, bias, *place_columns(places))


def _look_through(path: str, frames: h5py.Dataset) -> None:
    """Floats are read once, here: one NaN would end a training days later, small ones slow it."""
    squares = 0.0
    for first in range(0, len(frames), FRAMES_AT_ONCE):
        values_TF = frames[first : first + FRAMES_AT_ONCE].astype(np.float32)
        finite_TF = np.isfinite(values_TF)
        if not finite_TF.all():
            frame, value = np.argwhere(~finite_TF)[0]
            raise InputError(
                f"{path}: {frames.name}: value {value} of frame {first + frame} is not finite: "
                "correct it, or leave that video out"
            )
        squares += float(np.square(values_TF, dtype=np.float64).sum())
    size = math.sqrt(squares / max(1, frames.size))
    if size and not USUAL_SIZE[0] <= size <= USUAL_SIZE[1]:
        log.warning(
            "warning: %s: %s has a root mean square of %.3g per value, and the models learn best "
            "near 1: multiply it by %.2g when you write it, in all files alike",
            *(path, frames.name, size, 1 / size),
        )


def _own_dtype(path: str, frames: h5py.Dataset, width: int) -> str:
    """Element type of a frames dataset that can be mapped and fits the width."""
    if frames.ndim != 2 or frames.shape[1] != width:
        name = frames.parent.name.rsplit("/", 1)[-1]
        raise InputError(
            f"{path}: {frames.name} has shape {frames.shape}, "
            f"config data.features.{name} says {width} values a frame"
        )
    if frames.dtype not in (np.uint8, np.dtype("<f2"), np.dtype("<f4")):
        raise InputError(
            f"{path}: {frames.name} is {frames.dtype.str}: "
            "store uint8, or float16 or float32 in little-endian order"
        )
    if frames.size and frames.id.get_offset() is None:
        raise InputError(
            f"{path}: {frames.name} is chunked, compressed or external: store it contiguously "
            "(create_dataset(name, data=…) alone, or h5repack -l CONTI -f NONE)"
        )
    return frames.dtype.name


def _own_scale(path: str, frames: h5py.Dataset) -> tuple[float, float]:
    bounds = np.ravel(frames.attrs.get("quantisation_range", [])).tolist()
    if len(bounds) != 2 or not all(map(math.isfinite, bounds)) or not bounds[0] < bounds[1]:
        raise InputError(
            f"{path}: {frames.name} is uint8: give its attribute quantisation_range = [low, high]"
        )
    return quantisation(*bounds)
