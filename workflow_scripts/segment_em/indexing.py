"""Building the index, from record files and from HDF5 files of one's own features."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from segment_em import hdf5
from segment_em.annotations import distinct_labels, rated_segments, unlabelled, unrated
from segment_em.errors import InputError
from segment_em.framing import CRC, LENGTH, Damage
from segment_em.index import Index, Modality, id_array, indptr_of, place_columns, quantisation
from segment_em.index_files import joined
from segment_em.own_features import own_index
from segment_em.records import Example, read_examples

log = logging.getLogger(__name__)

QUANTISATION_RANGE = -2.0, 2.0  # of YouTube-8M's records
OWN_FEATURES = (".h5", ".hdf5")  # file endings


def build_index(
    paths: Sequence[str | Path],
    features: Mapping[str, int],
    segment_frames: int,
    skip_damaged: bool = False,
    training: bool = True,
) -> Index:
    """Index record files, and HDF5 files of features (endings .h5, .hdf5), which are read through.

    features: modality -> values a frame. segment_frames: frames a segment, also seconds, since
    there is one frame a second: ratings start at multiples of it. skip_damaged: leave damaged
    records out, and say so in Index.skipped and the log. training: False of new videos, whose
    labels and ratings are not looked at, nor whether their features have a size that trains well.
    Raises InputError for what records.read_examples refuses, for HDF5 files that docs/format.md
    does not allow, ratings off the grid or neither 0 nor 1, and ids that occur twice.
    """
    if not paths:
        raise InputError("no files to index: check the glob")
    if len(set(map(str, paths))) < len(paths):
        raise InputError(f"{min(paths, key=str)} or another file is listed twice: list files once")
    parts = [
        own_index(str(path), features, segment_frames, training)
        if _is_hdf5(str(path))
        else _record_index(str(path), features, segment_frames, skip_damaged, training)
        for path in paths
    ]
    index = joined(parts)
    for damage in index.skipped:
        log.warning("skipped %d bytes: %s", damage.bytes, damage)
    return index


def _is_hdf5(path: str) -> bool:
    if path.lower().endswith(OWN_FEATURES):
        return True
    if hdf5.is_hdf5(path):
        raise InputError(f"{path}: is an HDF5 file: give its name one of the endings .h5, .hdf5")
    return False


def _whole_examples(
    path: str, features: Mapping[str, int]
) -> tuple[list[Example], tuple[Damage, ...]]:
    """The records that are not damaged, each once, and what is left out.

    A stretch of a file that was written twice may hold whole records. Raises InputError if no
    record is whole: that is not damage, but a file of another kind.
    """
    damaged: list[Damage] = []
    repeated: list[Damage] = []
    first: dict[tuple[str, int, int], int] = {}
    examples = []
    for whole, one in enumerate(read_examples(path, features, damaged.append)):
        record = whole + len(damaged)
        same = first.setdefault((one.id, one.payload_bytes, one.payload_crc), record)
        if same == record:
            examples.append(one)
        else:
            place = one.payload_offset - LENGTH.size, one.payload_bytes + LENGTH.size + CRC.size
            repeated.append(Damage(path, record, *place, f"a repetition of record {same}"))
    if damaged and not examples:
        raise InputError(
            f"{damaged[0]}: no record of the file is whole: take it out of the config's data"
        )
    return examples, tuple(sorted(damaged + repeated))


def _record_index(
    path: str,
    features: Mapping[str, int],
    segment_frames: int,
    skip_damaged: bool,
    training: bool,
) -> Index:
    if skip_damaged:
        examples, skipped = _whole_examples(path, features)
    else:
        examples, skipped = list(read_examples(path, features)), ()
    ids = id_array([e.id for e in examples])
    places = {
        name: np.array([e.frames[name] for e in examples], np.int64).reshape(-1, 3)
        for name in features
    }
    scale, bias = quantisation(*QUANTISATION_RANGE)
    labels, ratings = unlabelled(len(ids)), unrated(len(ids))
    if training:
        labels, ratings = _labels_of(examples), _ratings_of(examples)
    return Index(
        [path],
        np.array([Path(path).stat().st_size], np.int64),
        ids,
        {
            name: Modality(width, "uint8", scale, bias, *place_columns(places[name]))
            for name, width in features.items()
        },
        distinct_labels(*labels),
        rated_segments(path, ids, ratings, segment_frames),
        np.array([e.payload_offset + e.payload_bytes for e in examples], np.int64),
        np.array([e.payload_crc for e in examples], np.uint32),
        skipped,
    )


def _labels_of(examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
    labels = [example.labels for example in examples]
    return indptr_of([len(one) for one in labels]), _flat(labels, np.int64)


def _ratings_of(examples: Sequence[Example]) -> tuple[np.ndarray, ...]:
    ratings = [example.ratings for example in examples]
    return (
        indptr_of([len(one.score) for one in ratings]),
        _flat([one.start_second for one in ratings], np.int64),
        _flat([one.class_id for one in ratings], np.int64),
        _flat([one.score for one in ratings], np.float32),
    )


def _flat(arrays: Sequence[np.ndarray], dtype) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *arrays])
