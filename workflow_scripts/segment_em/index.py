"""The index: which videos there are, and where their frames, labels and ratings lie.

The frames stay where they are, in record files or in HDF5 files of one's own; see docs/format.md
for both HDF5 formats, the index and own features.

Shapes: V videos, N frames of all videos, C classes. Lists of differing length, one a video, are
kept as CSR: those of video v are entries indptr[v] to indptr[v + 1] of the parallel arrays.
"""

import csv
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from segment_em.errors import InputError
from segment_em.files import replacing
from segment_em.records import LONGEST_ID, read_examples

ENCODING_TYPE, ENCODING_VERSION = "segment-em-index", "1.0"
QUANTISATION_RANGE = -2.0, 2.0  # of YouTube-8M's records
OWN_FEATURES = (".h5", ".hdf5")  # file endings
MODALITY_ATTRIBUTES = ("width", "dtype", "scale", "bias")
RATING_KINDS = {"start_second": "i", "class_id": "i", "positive": "b"}  # numpy's letters
SEE_FORMAT = "see docs/format.md, own features"
REINDEX = "delete it and build the index again"


@dataclass(frozen=True, eq=False)
class Modality:
    """Where the frames of one modality lie, video by video; value = stored * scale + bias."""

    width: int  # values a frame
    dtype: str  # as stored: uint8, float16 or float32
    scale: float
    bias: float
    file: np.ndarray  # int32 [V], position in Index.files
    offset: np.ndarray  # int64 [V], bytes from the start of the file to the first frame
    stride: np.ndarray  # int64 [V], bytes from one frame to the next
    frames: np.ndarray  # int32 [V], as many as are stored, not cut to max_frames


class Labels(NamedTuple):
    """Video labels (CSR): each video's distinct class ids, ascending."""

    indptr: np.ndarray  # int64 [V + 1]
    indices: np.ndarray  # int64, class ids


class RatedSegments(NamedTuple):
    """Human ratings (CSR), by start and class; at most one a video, segment and class."""

    indptr: np.ndarray  # int64 [V + 1]
    start_second: np.ndarray  # int64, multiples of segment_frames; may lie past the last frame
    class_id: np.ndarray  # int64
    positive: np.ndarray  # bool
    contradictory: np.ndarray  # int64 [V], pairs left out: one segment and class, both answers


@dataclass(frozen=True, eq=False)
class Index:
    """Videos in the order of (file, offset)."""

    files: list[str]  # ascending; paths as they were given
    file_bytes: np.ndarray  # int64 [files]
    video_ids: np.ndarray  # str [V], distinct
    modalities: dict[str, Modality]  # in config order
    labels: Labels
    ratings: RatedSegments
    payload_end: np.ndarray  # int64 [V], byte offset of the record's data CRC; -1 for HDF5
    payload_crc: np.ndarray  # uint32 [V], its value (masked, as stored); 0 for HDF5

    def __len__(self) -> int:
        return len(self.video_ids)

    def take(self, rows) -> "Index":
        """Index of some of the videos. rows: int [n], bool [V] or a slice; the order is kept."""
        rows = np.arange(len(self))[rows]
        label_indptr, label = _taken(self.labels.indptr, rows)
        rating_indptr, rating = _taken(self.ratings.indptr, rows)
        return replace(
            self,
            video_ids=self.video_ids[rows],
            modalities={name: _modality_of(m, rows) for name, m in self.modalities.items()},
            labels=Labels(label_indptr, self.labels.indices[label]),
            ratings=RatedSegments(
                rating_indptr,
                self.ratings.start_second[rating],
                self.ratings.class_id[rating],
                self.ratings.positive[rating],
                self.ratings.contradictory[rows],
            ),
            payload_end=self.payload_end[rows],
            payload_crc=self.payload_crc[rows],
        )


def _modality_of(modality: Modality, rows: np.ndarray) -> Modality:
    return replace(
        modality,
        file=modality.file[rows],
        offset=modality.offset[rows],
        stride=modality.stride[rows],
        frames=modality.frames[rows],
    )


def _taken(indptr: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """New indptr of some rows of a CSR, and the positions of their entries."""
    counts = np.diff(indptr)[rows]
    taken_indptr = _indptr(counts)
    shift = np.repeat(indptr[rows] - taken_indptr[:-1], counts)
    return taken_indptr, np.arange(taken_indptr[-1]) + shift


def _indptr(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


# Building.


def build_index(
    paths: Sequence[str | Path], features: Mapping[str, int], segment_frames: int
) -> Index:
    """Index record files, and HDF5 files of features (endings .h5, .hdf5), which are read through.

    features: modality -> values a frame. segment_frames: frames a segment, also seconds, since
    there is one frame a second: ratings start at multiples of it.
    Raises InputError for what records.read_examples refuses, for HDF5 files that docs/format.md
    does not allow, ratings off the grid or neither 0 nor 1, and ids that occur twice.
    """
    if not paths:
        raise InputError("no files to index: check the glob")
    if len(set(map(str, paths))) < len(paths):
        raise InputError(f"{min(paths, key=str)} or another file is listed twice: list files once")
    return _joined([_file_index(str(path), features, segment_frames) for path in paths])


def _file_index(path: str, features: Mapping[str, int], segment_frames: int) -> Index:
    if path.lower().endswith(OWN_FEATURES):
        return _own_index(path, features, segment_frames)
    return _record_index(path, features, segment_frames)


def _record_index(path: str, features: Mapping[str, int], segment_frames: int) -> Index:
    examples = list(read_examples(path, features))
    ids = _id_array([e.id for e in examples])
    places = {
        name: np.array([e.frames[name] for e in examples], np.int64).reshape(-1, 3)
        for name in features
    }
    scale, bias = _quantisation(*QUANTISATION_RANGE)
    ratings = [e.ratings for e in examples]
    raw = (
        _indptr([len(r.score) for r in ratings]),
        _flat([r.start_second for r in ratings], np.int64),
        _flat([r.class_id for r in ratings], np.int64),
        _flat([r.score for r in ratings], np.float32),
    )
    return Index(
        [path],
        np.array([Path(path).stat().st_size], np.int64),
        ids,
        {
            name: Modality(width, "uint8", scale, bias, *_columns(places[name]))
            for name, width in features.items()
        },
        _distinct_labels(
            _indptr([len(e.labels) for e in examples]),
            _flat([e.labels for e in examples], np.int64),
        ),
        _rated_segments(path, ids, raw, segment_frames),
        np.array([e.payload_offset + e.payload_bytes for e in examples], np.int64),
        np.array([e.payload_crc for e in examples], np.uint32),
    )


def _id_array(ids: Sequence[str]) -> np.ndarray:
    return np.array(ids, str) if len(ids) else np.zeros(0, "U1")


def _flat(arrays: Sequence[np.ndarray], dtype) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *arrays])


def _columns(places: np.ndarray) -> tuple[np.ndarray, ...]:
    """Modality's file, offset, stride, frames from the (offset, stride, count) of each video."""
    offset, stride, count = places.T
    return np.zeros(len(places), np.int32), offset.copy(), stride.copy(), count.astype(np.int32)


def _quantisation(low: float, high: float) -> tuple[float, float]:
    """Scale and bias of bytes that span [low, high], as YouTube-8M's own code dequantises."""
    return (high - low) / 255, (high - low) / 512 + low


def _rated_segments(
    path: str, ids: np.ndarray, raw: tuple[np.ndarray, ...], segment_frames: int
) -> RatedSegments:
    """Ratings by start and class: equal ones merged, contradictory ones left out and counted.

    raw: indptr, start_second, class_id, score (CSR) as stored.
    """
    indptr, start_second, class_id, score = raw
    video = np.repeat(np.arange(len(ids)), np.diff(indptr))
    for wrong, problem in (
        (start_second % segment_frames != 0, f"start is no multiple of {segment_frames} seconds"),
        ((score != 0) & (score != 1), "score is neither 0 nor 1"),
    ):
        if wrong.any():
            entry = int(wrong.argmax())
            raise InputError(
                f"{path}: video {str(ids[video[entry]])!r}: rating of class {class_id[entry]} from "
                f"second {start_second[entry]}, score {score[entry]}: its {problem}: correct it"
            )
    order = np.lexsort((class_id, start_second, video))
    keys = np.stack([video, start_second, class_id])[:, order]
    begin = _starts(keys)
    video, start_second, class_id = keys[:, begin]
    positives = np.add.reduceat(score[order], begin) if len(begin) else score
    entries = np.diff(np.append(begin, len(order)))
    agreed = (positives == 0) | (positives == entries)
    return RatedSegments(
        _indptr(np.bincount(video[agreed], minlength=len(ids))),
        start_second[agreed],
        class_id[agreed],
        positives[agreed] > 0,
        np.bincount(video[~agreed], minlength=len(ids)),
    )


def _starts(keys: np.ndarray) -> np.ndarray:
    """Where runs of equal columns begin. keys: int [k, n]."""
    changes = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    return np.flatnonzero(np.concatenate([np.ones(min(keys.shape[1], 1), bool), changes]))


def _distinct_labels(indptr: np.ndarray, class_id: np.ndarray) -> Labels:
    video = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    keys = np.stack([video, class_id])[:, np.lexsort((class_id, video))]
    video, class_id = keys[:, _starts(keys)]
    return Labels(_indptr(np.bincount(video, minlength=len(indptr) - 1)), class_id)


def _own_index(path: str, features: Mapping[str, int], segment_frames: int) -> Index:
    """Index of an HDF5 file of one's own features (docs/format.md)."""
    with opened(path) as file:
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
            _distinct_labels(label_indptr, class_id),
            _rated_segments(path, ids, raw, segment_frames),
            np.full(videos, -1, np.int64),
            np.zeros(videos, np.uint32),
        )


def _own_ids(path: str, file: h5py.File) -> np.ndarray:
    ids = _strings(path, file, "video_ids", SEE_FORMAT)
    wrong = [i for i in ids if not 0 < len(i.encode()) <= LONGEST_ID or "\0" in i]
    if wrong:
        raise InputError(
            f"{path}: video_ids: {wrong[0]!r} is not 1 to {LONGEST_ID} bytes without NUL: rename it"
        )
    return _id_array(ids)


def _own_csr(
    path: str, file: h5py.File, group: str, kinds: Mapping[str, str], videos: int
) -> tuple[np.ndarray, ...]:
    """indptr and the arrays of an optional group; class ids and seconds as int64, >= 0."""
    if group not in file:
        dtypes = [np.float32 if name == "score" else np.int64 for name in kinds]
        return np.zeros(videos + 1, np.int64), *(np.zeros(0, dtype) for dtype in dtypes)
    indptr = _array(path, file, f"{group}/indptr", "iu", videos + 1, SEE_FORMAT).astype(np.int64)
    total = int(indptr[-1])
    _require_indptr(path, f"{group}/indptr", indptr, total, SEE_FORMAT)
    arrays = []
    for name, kind in kinds.items():
        array = _array(path, file, f"{group}/{name}", kind, total, SEE_FORMAT)
        array = array.astype(np.float32 if name == "score" else np.int64)
        if (array < 0).any():
            raise InputError(f"{path}: {group}/{name}: {array.min()} is below 0: {SEE_FORMAT}")
        arrays.append(array)
    return indptr, *arrays


def _own_modality(path: str, file: h5py.File, name: str, width: int, videos: int) -> Modality:
    key = f"features/{name}/frames"
    if not isinstance(file.get(key), h5py.Dataset):
        raise InputError(
            f"{path}: dataset {key} is missing: add it or take {name} out of config data.features"
        )
    frames = file[key]
    dtype = _own_dtype(path, frames, width)
    indptr = _array(path, file, f"features/{name}/indptr", "iu", videos + 1, SEE_FORMAT)
    indptr = indptr.astype(np.int64)
    _require_indptr(path, f"features/{name}/indptr", indptr, len(frames), SEE_FORMAT)
    stride = width * np.dtype(dtype).itemsize
    start = frames.id.get_offset() or 0  # None where there are no frames
    scale, bias = _own_scale(path, frames) if dtype == "uint8" else (1.0, 0.0)
    places = np.stack([start + indptr[:-1] * stride, np.full(videos, stride), np.diff(indptr)], 1)
    return Modality(width, dtype, scale, bias, *_columns(places))


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
    return _quantisation(*bounds)


# Joining.


def _joined(parts: Sequence[Index]) -> Index:
    """One index of all videos, ordered by (file path, offset) and thus whatever the parts are."""
    for part in parts[1:]:
        _require_equal_modalities(parts[0], part)
    files, file_bytes = _all_files(parts)
    index = Index(
        files,
        file_bytes,
        np.concatenate([part.video_ids for part in parts]),
        {name: _joined_modality(parts, name, files) for name in parts[0].modalities},
        Labels(*_joined_csr([part.labels for part in parts])),
        RatedSegments(
            *_joined_csr([part.ratings[:4] for part in parts]),
            np.concatenate([part.ratings.contradictory for part in parts]),
        ),
        np.concatenate([part.payload_end for part in parts]),
        np.concatenate([part.payload_crc for part in parts]),
    )
    _require_distinct_ids(index)
    first = next(iter(index.modalities.values()))
    return index.take(np.lexsort((first.offset, first.file)))


def _require_equal_modalities(first: Index, other: Index) -> None:
    ours, theirs = (
        {name: (m.width, m.dtype, m.scale, m.bias) for name, m in index.modalities.items()}
        for index in (first, other)
    )
    if list(ours.items()) != list(theirs.items()):
        raise InputError(
            f"{other.files[0]}: (width, dtype, scale, bias) of the modalities are {theirs}, but "
            f"{ours} in {first.files[0]}: files used together must agree"
        )


def _all_files(parts: Sequence[Index]) -> tuple[list[str], np.ndarray]:
    sizes: dict[str, int] = {}
    for part in parts:
        for file, size in zip(part.files, part.file_bytes.tolist(), strict=True):
            if sizes.setdefault(file, size) != size:
                raise InputError(
                    f"{file} had {sizes[file]} bytes when one chunk was indexed, {size} at "
                    "another: build the index again"
                )
    files = sorted(sizes)
    return files, np.array([sizes[file] for file in files], np.int64)


def _joined_modality(parts: Sequence[Index], name: str, files: list[str]) -> Modality:
    position = {file: number for number, file in enumerate(files)}
    ours = [part.modalities[name] for part in parts]
    return replace(
        ours[0],
        file=np.concatenate(
            [
                np.array([position[file] for file in part.files], np.int32)[modality.file]
                for part, modality in zip(parts, ours, strict=True)
            ]
        ),
        offset=np.concatenate([modality.offset for modality in ours]),
        stride=np.concatenate([modality.stride for modality in ours]),
        frames=np.concatenate([modality.frames for modality in ours]),
    )


def _joined_csr(parts: Sequence[tuple[np.ndarray, ...]]) -> list[np.ndarray]:
    """Join (indptr, values, …) of each part."""
    indptrs, *columns = zip(*parts, strict=True)
    counts = np.concatenate([np.diff(indptr) for indptr in indptrs])
    return [_indptr(counts), *(np.concatenate(column) for column in columns)]


def _require_distinct_ids(index: Index) -> None:
    order = np.argsort(index.video_ids, kind="stable")
    equal = index.video_ids[order][1:] == index.video_ids[order][:-1]
    if equal.any():
        pair = order[int(equal.argmax()) :][:2]
        file = next(iter(index.modalities.values())).file
        one, other = (index.files[file[row]] for row in pair)
        raise InputError(
            f"video {str(index.video_ids[pair[0]])!r} is in {one} and in {other}: "
            "a video may occur once: remove one"
        )


# Reading and writing.


def write_index(path: str | Path, index: Index, attributes: Mapping[str, str]) -> None:
    """Write an index file (docs/format.md); equal input gives equal bytes.

    attributes: what else to note at the root of the file, such as where the index came from.
    """
    with (
        replacing(path) as temporary,
        h5py.File(temporary, "w", libver=("earliest", "v110")) as out,
    ):
        out.attrs["encoding-type"] = ENCODING_TYPE
        out.attrs["encoding-version"] = ENCODING_VERSION
        out.attrs["modalities"] = list(index.modalities)
        for key, value in attributes.items():
            out.attrs[key] = value
        for key, array in _datasets(index).items():
            if array.dtype.kind == "U":
                array = array.astype(object)
                out.create_dataset(key, data=array, dtype=h5py.string_dtype(), track_times=False)
            else:
                out.create_dataset(key, data=array, track_times=False)
        for name, modality in index.modalities.items():
            group = out[f"features/{name}"]
            group.attrs.update({key: getattr(modality, key) for key in MODALITY_ATTRIBUTES})


def _datasets(index: Index) -> dict[str, np.ndarray]:
    """Each dataset of an index file."""
    found = {
        "files": np.array(index.files, str),
        "file_bytes": index.file_bytes,
        "video_ids": index.video_ids,
        "payload_end": index.payload_end,
        "payload_crc": index.payload_crc,
    }
    for group, arrays in (("labels", index.labels), ("ratings", index.ratings)):
        found |= {f"{group}/{name}": array for name, array in arrays._asdict().items()}
    for name, modality in index.modalities.items():
        for key in ("file", "offset", "stride", "frames"):
            found[f"features/{name}/{key}"] = getattr(modality, key)
    return found


def read_index(paths: Sequence[str | Path]) -> Index:
    """Read one split's index files and join them; how files were spread over them is no matter.

    Raises InputError for a file that is not an index of this version or is damaged, chunks that
    disagree on the modalities, and ids that occur twice.
    """
    if not paths:
        raise InputError("no index files: build the index first")
    return _joined([_read(str(path)) for path in paths])


@contextmanager
def opened(path: str | Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; InputError where it cannot be read."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a readable HDF5 file ({reason}): make it anew") from error


def _read(path: str) -> Index:
    with opened(path) as file:
        found = file.attrs.get("encoding-type"), file.attrs.get("encoding-version")
        if found != (ENCODING_TYPE, ENCODING_VERSION):
            raise InputError(
                f"{path}: encoding-type and -version are {found[0]!r} and {found[1]!r}, expected "
                f"{ENCODING_TYPE!r} and {ENCODING_VERSION!r}: {REINDEX}"
            )
        files = _strings(path, file, "files", REINDEX)
        ids = _id_array(_strings(path, file, "video_ids", REINDEX))
        names = list(file.attrs.get("modalities", []))
        index = Index(
            files,
            _array(path, file, "file_bytes", "i", len(files), REINDEX),
            ids,
            {name: _read_modality(path, file, name, len(ids)) for name in names},
            Labels(*_read_csr(path, file, "labels", {"indices": "i"}, len(ids))),
            RatedSegments(
                *_read_csr(path, file, "ratings", RATING_KINDS, len(ids)),
                _array(path, file, "ratings/contradictory", "i", len(ids), REINDEX),
            ),
            _array(path, file, "payload_end", "i", len(ids), REINDEX),
            _array(path, file, "payload_crc", "u", len(ids), REINDEX),
        )
    _require_places_in_files(path, index)
    return index


def _read_modality(path: str, file: h5py.File, name: str, videos: int) -> Modality:
    places = [
        _array(path, file, f"features/{name}/{key}", "i", videos, REINDEX)
        for key in ("file", "offset", "stride", "frames")
    ]
    attributes = file[f"features/{name}"].attrs
    if not all(key in attributes for key in MODALITY_ATTRIBUTES):
        raise InputError(f"{path}: features/{name} lacks attributes: {REINDEX}")
    width, dtype, scale, bias = (attributes[key] for key in MODALITY_ATTRIBUTES)
    return Modality(int(width), str(dtype), float(scale), float(bias), *places)


def _read_csr(
    path: str, file: h5py.File, group: str, kinds: Mapping[str, str], videos: int
) -> list[np.ndarray]:
    indptr = _array(path, file, f"{group}/indptr", "i", videos + 1, REINDEX)
    total = int(indptr[-1])
    _require_indptr(path, f"{group}/indptr", indptr, total, REINDEX)
    return [
        indptr,
        *(
            _array(path, file, f"{group}/{name}", kind, total, REINDEX)
            for name, kind in kinds.items()
        ),
    ]


def _require_places_in_files(path: str, index: Index) -> None:
    """Each frame and CRC lies within its file, so that no later read can go astray."""
    ok = bool(index.modalities)
    for modality in index.modalities.values():
        ok = ok and modality.dtype in ("uint8", "float16", "float32") and modality.width > 0
        ok = ok and bool(((modality.file >= 0) & (modality.file < len(index.files))).all())
        if ok:
            frame_bytes = modality.width * np.dtype(modality.dtype).itemsize
            last = modality.offset + (modality.frames - 1) * modality.stride + frame_bytes
            inside = (modality.offset >= 0) & (modality.stride >= frame_bytes)
            inside &= last <= index.file_bytes[modality.file]
            ok = bool((inside | (modality.frames == 0)).all()) and bool(
                (modality.frames >= 0).all()
            )
            ok = ok and bool((index.payload_end + 4 <= index.file_bytes[modality.file]).all())
    if not ok:
        raise InputError(f"{path}: places of frames outside their files: {REINDEX}")


def _array(
    path: str, file: h5py.File, key: str, kinds: str, length: int, remedy: str
) -> np.ndarray:
    """A dataset of `length` numbers whose dtype is of one of the `kinds` (numpy's letters)."""
    dataset = file.get(key)
    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"{path}: dataset {key} is missing: {remedy}")
    if dataset.shape != (length,) or dataset.dtype.kind not in kinds:
        raise InputError(
            f"{path}: dataset {key} is {dataset.dtype} {dataset.shape}, "
            f"expected {length} values of kind {kinds!r}: {remedy}"
        )
    return dataset[...]


def _strings(path: str, file: h5py.File, key: str, remedy: str) -> list[str]:
    dataset = file.get(key)
    if not isinstance(dataset, h5py.Dataset) or h5py.check_string_dtype(dataset.dtype) is None:
        raise InputError(f"{path}: dataset {key} of strings is missing: {remedy}")
    try:
        return dataset.asstr("utf-8")[...].tolist()
    except UnicodeDecodeError:
        raise InputError(f"{path}: dataset {key} holds what is not UTF-8: {remedy}") from None


def _require_indptr(path: str, key: str, indptr: np.ndarray, total: int, remedy: str) -> None:
    if indptr[0] != 0 or indptr[-1] != total or (np.diff(indptr) < 0).any():
        raise InputError(
            f"{path}: {key} must rise from 0 to the {total} entries that it divides: {remedy}"
        )


# Splitting, classes.


def in_validation(video_ids: Sequence[str], fraction: float) -> np.ndarray:
    """bool [V]: which rated videos are for validation, by a hash of the id alone.

    Adding or moving a file moves no video. fraction: expected share, 0 to 1.
    """
    hashes = (hashlib.sha256(str(i).encode()).digest()[:8] for i in video_ids)
    return np.array([int.from_bytes(h, "big") / 2**64 < fraction for h in hashes], bool)


def columns_of(class_ids: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Column of each class id, int64 as `ids`; -1 where it is not one of `class_ids`.

    class_ids: int64 [C], ascending, distinct.
    """
    column = np.searchsorted(class_ids, ids)
    known = np.append(class_ids, -1)[column] == ids
    return np.where(known, column, -1)


def read_class_list(path: str | Path) -> np.ndarray:
    """Class ids of a CSV file with a column Index, int64 [C], ascending.

    Raises InputError where the column is missing, or an id is no integer >= 0 or is there twice.
    """
    return np.array(sorted(_rows_by_id(path, ["Index"])), np.int64)


def read_vocabulary(path: str | Path) -> dict[int, str]:
    """Class id -> name of a CSV file with columns Index and Name; raises as read_class_list."""
    return {number: row["Name"] for number, row in _rows_by_id(path, ["Index", "Name"]).items()}


def _rows_by_id(path: str | Path, columns: Sequence[str]) -> dict[int, dict[str, str]]:
    rows: dict[int, dict[str, str]] = {}
    for line, row in _csv_rows(path, columns):
        text = (row["Index"] or "").strip()
        if not (text.isascii() and text.isdigit()):
            raise InputError(f"{path}: line {line}: Index {text!r} is no class id: correct it")
        if int(text) in rows:
            raise InputError(f"{path}: line {line}: class {text} is there twice: remove one")
        rows[int(text)] = row
    if not rows:
        raise InputError(f"{path}: holds no class: give at least one")
    return rows


def _csv_rows(path: str | Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = set(columns) - set(reader.fieldnames or ())
            if missing:
                raise InputError(f"{path}: no column {min(missing)}: its first line must name it")
            for row in reader:
                yield reader.line_num, row
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): check the path") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is no UTF-8 CSV file ({error}): correct it") from error
