"""Whether splits go together: no video in two, since what a model was trained on must not judge it,
and features on one scale.
"""

import logging
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from segment_em.errors import InputError
from segment_em.feature_scale import apart, feature_rms
from segment_em.files import read_json, write_json
from segment_em.index import Index
from segment_em.index_files import read_index

log = logging.getLogger(__name__)


def check_splits(index_paths: Mapping[str, Sequence[str | Path]], out: str | Path) -> None:
    """Write {split: {"videos": their number, "feature_rms": see there}} as JSON.

    index_paths: {split: its index files}, of train at least. Warns of a split whose features are
    much larger or smaller than train's. Raises InputError with id and both files if a video is in
    two splits, or twice in one.
    """
    indexes = {split: read_index(paths) for split, paths in index_paths.items()}
    rows = {split: _rows(index) for split, index in indexes.items()}
    for one, other in combinations(indexes, 2):
        shared = sorted(rows[one].keys() & rows[other].keys())
        if shared:
            files = [_file(indexes[split], rows[split][shared[0]]) for split in (one, other)]
            raise InputError(
                f"video {shared[0]!r} is in data.{one} ({files[0]}) and in data.{other} "
                f"({files[1]}), as are {len(shared) - 1} others: a video may be in one split only: "
                "remove it from one"
            )
    found = {split: feature_rms(index) for split, index in indexes.items()}
    for split in found:
        for line in apart(f"data.{split}", found[split], found["train"]):
            log.warning("warning: %s", line)
    told = {s: {"videos": len(index), "feature_rms": found[s]} for s, index in indexes.items()}
    write_json(out, told)


def trained_scale(path: str | Path) -> dict[str, float]:
    """feature_rms of the train split, from the file that check_splits wrote."""
    return read_json(path)["train"]["feature_rms"]


def _rows(index: Index) -> dict[str, int]:
    return {name: row for row, name in enumerate(index.video_ids.tolist())}


def _file(index: Index, row: int) -> str:
    return index.files[int(index.first.file[row])]
