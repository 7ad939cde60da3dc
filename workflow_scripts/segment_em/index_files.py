"""Index files: written, read, and those of one split joined (docs/format.md states the file)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from segment_em import hdf5
from segment_em.errors import InputError
from segment_em.hdf5_writing import replacing_hdf5
from segment_em.index import Index, Labels, Modality, RatedSegments, id_array, indptr_of
from segment_em.skipped import REINDEX, read_skipped, skipped_datasets

ENCODING_TYPE, ENCODING_VERSION = "segment-em-index", "1.0"
MODALITY_ATTRIBUTES = ("width", "dtype", "scale", "bias")
RATING_KINDS = {"start_second": "i", "class_id": "i", "positive": "b"}  # numpy's letters


def write_index(path: str | Path, index: Index, attributes: Mapping[str, str]) -> None:
    """Write an index file (docs/format.md); equal input gives equal bytes.

    attributes: what else to note at the root of the file, such as where the index came from.
    """
    with replacing_hdf5(path, ("earliest", "v110")) as out:
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
    return found | skipped_datasets(index.skipped, index.files)


def read_index(paths: Sequence[str | Path]) -> Index:
    """Read one split's index files and join them; how files were spread over them is no matter.

    Raises InputError for a file that is not an index of this version or is damaged, chunks that
    disagree on the modalities, and ids that occur twice.
    """
    if not paths:
        raise InputError("no index files: build the index first")
    return joined([_read(str(path)) for path in paths])


def _read(path: str) -> Index:
    with hdf5.opened(path) as file:
        found = file.attrs.get("encoding-type"), file.attrs.get("encoding-version")
        if found != (ENCODING_TYPE, ENCODING_VERSION):
            raise InputError(
                f"{path}: encoding-type and -version are {found[0]!r} and {found[1]!r}, expected "
                f"{ENCODING_TYPE!r} and {ENCODING_VERSION!r}: {REINDEX}"
            )
        files = hdf5.strings(path, file, "files", REINDEX)
        ids = id_array(hdf5.strings(path, file, "video_ids", REINDEX))
        names = list(file.attrs.get("modalities", []))
        index = Index(
            files,
            hdf5.array(path, file, "file_bytes", "i", len(files), REINDEX),
            ids,
            {name: _read_modality(path, file, name, len(ids)) for name in names},
            Labels(*_read_csr(path, file, "labels", {"indices": "i"}, len(ids))),
            RatedSegments(
                *_read_csr(path, file, "ratings", RATING_KINDS, len(ids)),
                hdf5.array(path, file, "ratings/contradictory", "i", len(ids), REINDEX),
            ),
            hdf5.array(path, file, "payload_end", "i", len(ids), REINDEX),
            hdf5.array(path, file, "payload_crc", "u", len(ids), REINDEX),
            tuple(read_skipped(path, file)),
        )
    _require_places_in_files(path, index)
    return index


def _read_modality(path: str, file: h5py.File, name: str, videos: int) -> Modality:
    places = [
        hdf5.array(path, file, f"features/{name}/{key}", "i", videos, REINDEX)
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
    indptr = hdf5.array(path, file, f"{group}/indptr", "i", videos + 1, REINDEX)
    total = int(indptr[-1])
    hdf5.require_indptr(path, f"{group}/indptr", indptr, total, REINDEX)
    return [
        indptr,
        *(
            hdf5.array(path, file, f"{group}/{name}", kind, total, REINDEX)
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


# Joining.


def joined(parts: Sequence[Index]) -> Index:
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
        tuple(sorted(damage for part in parts for damage in part.skipped)),
    )
    _require_distinct_ids(index)
    first = index.first
    return index.take(np.lexsort((first.offset, first.file)))


def _require_equal_modalities(first: Index, other: Index) -> None:
    ours, theirs = (
        {name: (m.width, m.dtype, m.scale, m.bias) for name, m in index.modalities.items()}
        for index in (first, other)
    )
    if list(ours) != list(theirs):
        raise InputError(
            f"{other.files[0]}: modalities are {', '.join(theirs)}, but {', '.join(ours)} in "
            f"{first.files[0]}: files used together must agree"
        )
    for name in ours:
        if ours[name] != theirs[name]:
            raise InputError(
                f"{other.files[0]}: {name} has (width, dtype, scale, bias) {theirs[name]}, but "
                f"{ours[name]} in {first.files[0]}: write both alike"
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
    return [indptr_of(counts), *(np.concatenate(column) for column in columns)]


def _require_distinct_ids(index: Index) -> None:
    order = np.argsort(index.video_ids, kind="stable")
    equal = index.video_ids[order][1:] == index.video_ids[order][:-1]
    if equal.any():
        pair = order[int(equal.argmax()) :][:2]
        file = index.first.file
        one, other = (index.files[file[row]] for row in pair)
        place = f"twice in {one}" if one == other else f"in {one} and in {other}"
        raise InputError(
            f"video {str(index.video_ids[pair[0]])!r} is {place}: a video may occur once: "
            "remove one"
        )
