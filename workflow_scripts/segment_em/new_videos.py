"""From files of new videos to what occurs when, by an ensemble.json and its weights alone.

N segments, C classes
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from segment_em import interval_files
from segment_em.checkpoint import changed_code, read_specification
from segment_em.ensemble import check_weights, description_of, members_of, read
from segment_em.errors import InputError
from segment_em.feature_scale import apart, feature_rms
from segment_em.files import matching
from segment_em.index import Index
from segment_em.indexing import build_index
from segment_em.left_out import frames_apart
from segment_em.localisation import Localisation, merge, rows_of
from segment_em.provenance import Job, sizes, write_provenance
from segment_em.scoring import Inference, Scorer

log = logging.getLogger(__name__)


def localise(
    ensemble: str | Path,
    patterns: Sequence[str],
    threshold: float | None,
    out: str | Path,
    how: str | Path,
    videos: int,
    job: Job,
) -> None:
    """Write what occurs when in new videos, a row an interval (interval_files.write).

    ensemble: a run's ensemble.json. patterns: files or globs, of records or of HDF5 features.
    threshold: in [0, 1]; None: the run's own. out: its ending says the format. how: file that tells
    how `out` came to be. videos: a batch.
    Videos are scored a batch at a time, and their rows written at once. Raises InputError for
    what indexing.build_index and scoring.Scorer refuse, and where `out` cannot be written.
    """
    interval_files.require_known(out)
    if threshold is not None and not 0 <= threshold <= 1:
        raise InputError(f"--threshold {threshold:g}: scores are from 0 to 1; give one of these")
    files, description = files_of(patterns), description_of(ensemble)
    check_weights(ensemble)
    first = read_specification(members_of(ensemble)[0][0])
    index = build_index(files, dict(first.features), first.segment_frames, training=False)
    settings = Inference(**description.inference, videos=videos)
    _say_what_is_odd(index, settings.max_frames, description.feature_rms)
    scorer = Scorer(read(ensemble), index, settings, job)
    _say_what_changed(ensemble)
    least = description.threshold if threshold is None else threshold
    count = interval_files.write(out, _rows(scorer, least, description.names))
    stamp = job.stamp()
    stamp["inputs"] |= sizes(files)
    write_provenance(how, stamp, scorer.device.type)
    log.info("%d intervals in %d videos: %s", count, len(index), out)


def files_of(patterns: Sequence[str]) -> list[str]:
    """The files that are named or match a glob, ascending, each once.

    Raises InputError where a pattern matches nothing.
    """
    found: set[str] = set()
    for pattern in patterns:
        if not (files := matching(pattern)):
            raise InputError(f"no file matches '{pattern}': check the path")
        found.update(files)
    return sorted(found)


def _say_what_is_odd(index: Index, max_frames: int, trained: Mapping[str, float]) -> None:
    odd = [*frames_apart("--records", index), *apart("--records", feature_rms(index), trained)]
    for line in odd:
        log.warning("warning: %s", line)
    longer = int((index.first.frames > max_frames).sum())
    if longer:
        log.warning(
            "%d of %d videos are longer than %d s, to which the models were trained: what follows "
            "is left out",
            *(longer, len(index), max_frames),
        )


def _say_what_changed(ensemble: str | Path) -> None:
    changed = {file: path for path, _ in members_of(ensemble) for file in changed_code(path)}
    for file, path in changed.items():
        log.warning(
            "warning: %s is not what it was when %s was trained, and may score otherwise: take "
            "that version, or train again",
            *(file, path),
        )


def _rows(scorer: Scorer, threshold: float, names: dict[int, str]) -> Iterator[Localisation]:
    index, segment_frames = scorer.index, scorer.settings.segment_frames
    for rows, scores_NC in scorer.parts():
        frames = scorer.clips.frame_counts[rows]
        intervals = merge(scores_NC, frames, segment_frames, threshold)
        yield from rows_of(intervals, index.video_ids[rows].tolist(), scorer.class_ids, names)
