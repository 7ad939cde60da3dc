"""HDF5 files of one's own features, which are indexed where they lie (docs/format.md).

Shapes: V videos, N frames of all videos.
"""

# T frames, F features a frame

import difflib
import logging
import math
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from segment_em import hdf5
from segment_em.annotations import distinct_labels, rated_segments, unlabelled, unrated
from segment_em.class_lists import LARGEST_ID
from segment_em.errors import InputError
from segment_em.index import Index, Modality, id_array, place_columns, quantisation
from segment_em.records import LONGEST_ID

log = logging.getLogger(__name__)

SEE_FORMAT = "see docs/format.md, own features"
GROUPS = ("video_ids", "features", "labels", "ratings")
# The arrays of a group and their kinds, see hdf5.KINDS.
LABELS = {"indices": "iu"}
RATINGS = {"start_second": "iu", "class_id": "iu", "score": "fiub"}
FRAMES_AT_ONCE = 10_000  # that are looked through: 40 MB of 1,024 float32
# Root mean squares that the models' learning rates suit; YouTube-8M's are .5 and .7.
USUAL_SIZE = (0.1, 10.0)


def own_index(path: str, features: Mapping[str, int], segment_frames: int, training: bool) -> Index:
    """Index of an HDF5 file of one's own features (docs/format.md).

    training: see indexing.build_index.
    """
    with hdf5.opened(path, "write or copy it again") as file:
        ids = _own_ids(path, file)
        modalities = {
            name: _own_modality(path, file, name, width, ids, training)
            for name, width in features.items()
        }
        if training:
            _warn_of_misspelt(path, file)
        labels, ratings = unlabelled(len(ids)), unrated(len(ids))
        if training and "labels" in file:
            labels = _own_csr(path, file, "labels", LABELS, len(ids))
        if training and "ratings" in file:
            ratings = _own_csr(path, file, "ratings", RATINGS, len(ids))
        return Index(
            [path],
            np.array([Path(path).stat().st_size], np.int64),
            ids,
            modalities,
            distinct_labels(*labels),
            rated_segments(path, ids, ratings, segment_frames),
            np.full(len(ids), -1, np.int64),
            np.zeros(len(ids), np.uint32),
        )


def _own_ids(path: str, file: h5py.File) -> np.ndarray:
    ids = hdf5.strings(path, file, "video_ids", SEE_FORMAT)
    wrong = [i for i in ids if not 0 < len(i.encode()) <= LONGEST_ID or "\0" in i]
    if wrong:
        raise InputError(
            f"{path}: video_ids: {wrong[0]!r} is not 1 to {LONGEST_ID} bytes without NUL: rename it"
        )
    return id_array(ids)


def _warn_of_misspelt(path: str, file: h5py.File) -> None:
    """What else people keep in such a file is theirs."""
    for name in sorted(file.keys() - set(GROUPS)):
        for nearest in difflib.get_close_matches(name, GROUPS, n=1):
            log.warning(
                "warning: %s: %s is not read; did you mean %s? (%s)",
                *(path, name, nearest, SEE_FORMAT),
            )


def _own_csr(
    path: str, file: h5py.File, group: str, kinds: Mapping[str, str], videos: int
) -> tuple[np.ndarray, ...]:
    """indptr and the arrays of a group; class ids and seconds as int64, >= 0."""
    indptr = hdf5.array(path, file, f"{group}/indptr", "iu", videos + 1, SEE_FORMAT).astype(
        np.int64
    )
    total = int(indptr[-1])
    hdf5.require_indptr(path, f"{group}/indptr", indptr, total, SEE_FORMAT)
    arrays = []
    for name, kind in kinds.items():
        array = hdf5.array(path, file, f"{group}/{name}", kind, total, SEE_FORMAT)
        unsigned = array.dtype.kind == "u"
        wrong = array > LARGEST_ID if unsigned else array < 0
        if wrong.any():
            entry, problem = int(wrong.argmax()), "above 2^63 - 1" if unsigned else "below 0"
            raise InputError(
                f"{path}: {group}/{name}: entry {entry}, {array[entry]}, is {problem}: {SEE_FORMAT}"
            )
        arrays.append(array.astype(np.float32 if name == "score" else np.int64))
    return indptr, *arrays


def _own_modality(
    path: str, file: h5py.File, name: str, width: int, ids: np.ndarray, training: bool
) -> Modality:
    key = f"features/{name}/frames"
    if not isinstance(file.get(key), h5py.Dataset):
        there = ", ".join(file["features"]) if isinstance(file.get("features"), h5py.Group) else ""
        raise InputError(
            f"{path}: dataset {key} is missing (under features: {there or 'nothing'}): add it, "
            f"correct data.features, or train without it (data.features.{name}: null)"
        )
    frames = file[key]
    dtype = _own_dtype(path, frames, width)
    indptr = hdf5.array(path, file, f"features/{name}/indptr", "iu", len(ids) + 1, SEE_FORMAT)
    indptr = indptr.astype(np.int64)
    hdf5.require_indptr(path, f"features/{name}/indptr", indptr, len(frames), SEE_FORMAT)
    if frames.dtype.kind == "f":
        size = _size_of_values(path, frames, ids, indptr)
        if training:
            _warn_of_unusual(path, frames, size)
    stride = width * np.dtype(dtype).itemsize
    start = frames.id.get_offset() or 0  # None where there are no frames
    scale, bias = _own_scale(path, frames) if dtype == "uint8" else (1.0, 0.0)
    strides = np.full(len(ids), stride)
    places = np.stack([start + indptr[:-1] * stride, strides, np.diff(indptr)], 1)
    return Modality(width, dtype, scale, bias, *place_columns(places))


def _size_of_values(path: str, frames: h5py.Dataset, ids: np.ndarray, indptr: np.ndarray) -> float:
    """Root mean square of floats, which are read once, here.

    Raises InputError where one is not finite: it would end a training days later.
    """
    squares = 0.0
    for first in range(0, len(frames), FRAMES_AT_ONCE):
        values_TF = frames[first : first + FRAMES_AT_ONCE].astype(np.float32)
        finite_TF = np.isfinite(values_TF)
        if not finite_TF.all():
            frame, value = np.argwhere(~finite_TF)[0] + (first, 0)
            video = int(np.searchsorted(indptr, frame, side="right")) - 1
            raise InputError(
                f"{path}: {frames.name}: value {value} of frame {frame - indptr[video]} of video "
                f"{str(ids[video])!r} is not finite: correct it, or leave that video out"
            )
        squares += float(np.square(values_TF, dtype=np.float64).sum())
    return math.sqrt(squares / max(1, frames.size))


def _warn_of_unusual(path: str, frames: h5py.Dataset, size: float) -> None:
    if frames.size and not size:
        log.warning("warning: %s: %s is 0 everywhere: write its values", path, frames.name)
    elif size and not USUAL_SIZE[0] <= size <= USUAL_SIZE[1]:
        log.warning(
            "warning: %s: %s has a root mean square of %.3g per value, and the models learn best "
            "near 1: multiply it by %.2g when you write it, in all files alike",
            *(path, frames.name, size, 1 / size),
        )


def _own_dtype(path: str, frames: h5py.Dataset, width: int) -> str:
    """Element type of a frames dataset that can be mapped and fits the width."""
    if frames.ndim != 2:
        raise InputError(
            f"{path}: {frames.name} has shape {frames.shape}, expected [frames, {width}] with all "
            "videos one after another: write it anew"
        )
    if frames.shape[1] != width:
        name = frames.parent.name.rsplit("/", 1)[-1]
        raise InputError(
            f"{path}: {frames.name} has shape {frames.shape}, expected {width} values a frame: "
            f"correct data.features.{name}, or give features like those that the models learnt from"
        )
    if frames.dtype not in (np.uint8, np.dtype("<f2"), np.dtype("<f4")):
        raise InputError(
            f"{path}: {frames.name} is {frames.dtype.str}: "
            "store uint8, or float16 or float32 in little-endian order"
        )
    # A link may lead into another file, where an offset is of no use here.
    if not Path(frames.file.filename).samefile(path):
        raise InputError(
            f"{path}: {frames.name} lies in {frames.file.filename}: give that file itself, or copy "
            "the dataset"
        )
    if frames.size and frames.id.get_offset() is None:
        raise InputError(
            f"{path}: {frames.name} is chunked, compressed or external: store it contiguously "
            "(create_dataset(name, data=…) alone, or h5repack -l CONTI -f NONE)"
        )
    return frames.dtype.name


def _own_scale(path: str, frames: h5py.Dataset) -> tuple[float, float]:
    bounds = np.ravel(frames.attrs.get("quantisation_range", []))
    numbers = bounds.dtype.kind in "iuf" and len(bounds) == 2
    if not numbers or not np.isfinite(bounds).all() or not bounds[0] < bounds[1]:
        raise InputError(
            f"{path}: {frames.name} is uint8: give its attribute quantisation_range = [low, high]"
        )
    return quantisation(*bounds.tolist())
