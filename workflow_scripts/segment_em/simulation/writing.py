"""The simulated records as files, with the truth and the names of the classes beside them."""

# V videos

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from segment_em.files import replacing
from segment_em.records import encode_example, write_records
from segment_em.simulation.settings import RATED_SPLITS, Settings
from segment_em.simulation.video import ID_LENGTH, Video, simulate_video
from segment_em.simulation.world import World


def write_split(settings: Settings, split: str, paths: Sequence[Path], truth_path: Path) -> None:
    """Write the records of one split, spread evenly over `paths`, and the truth beside them.

    split: train (labels), segments (labels and ratings) or test (ratings; no labels, as in the
    challenge's test files). The truth (.npz) holds video_ids [V], frames int64 [V] and, for video
    v, the entries indptr[v]:indptr[v + 1] of class_id, start_frame, end_frame (end exclusive).
    """
    world = World(settings)
    truth: list[Video] = []
    numbers = np.array_split(np.arange(settings.videos[split]), len(paths))
    for path, file_numbers in zip(paths, numbers, strict=True):
        write_records(path, _payloads(world, split, file_numbers, truth))
    _write_truth(truth_path, truth)


def _payloads(
    world: World, split: str, numbers: Iterable[int], truth: list[Video]
) -> Iterator[bytes]:
    for number in numbers:
        video = simulate_video(world, split, int(number))
        labels = [] if split == "test" else video.labels
        ratings = video.ratings if split in RATED_SPLITS else None
        yield encode_example(video.id, labels, video.frames, ratings)
        # The truth needs the number of frames, not their bytes.
        truth.append(video._replace(frames={"rgb": video.frames["rgb"][:, :0]}))


def _write_truth(path: Path, videos: Sequence[Video]) -> None:
    counts = [len(video.class_id) for video in videos]
    empty = np.zeros(0, np.int64)
    columns = {
        name: np.concatenate([getattr(video, name) for video in videos] or [empty])
        for name in ("class_id", "start_frame", "end_frame")
    }
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(
            file,
            video_ids=np.array([video.id for video in videos], f"U{ID_LENGTH}"),
            frames=np.array([len(video.frames["rgb"]) for video in videos], np.int64),
            indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            **columns,
        )


def write_vocabulary(settings: Settings, vocabulary_csv: Path, segment_class_csv: Path) -> None:
    """Write the class names (columns Index, Name) and the unsorted segment classes (Index)."""
    world = World(settings)
    names = ((world.class_ids[k], world.name(k)) for k in range(settings.vocabulary_classes))
    _write_csv(vocabulary_csv, ["Index", "Name"], names)
    _write_csv(segment_class_csv, ["Index"], ((world.class_ids[k],) for k in world.segment_order))


def _write_csv(path: Path, header: list[str], rows: Iterable[tuple]) -> None:
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
