"""Shuffled batches of 512 videos, padded to 300 frames, from a page-cached index, one process."""

import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import tensorflow_process
from measure import Row, compared, run, seconds, side_by_side
from synthetic import MAX_FRAMES, SEGMENT_FRAMES, SHORTEST_OF_245_KB, frame_counts, write_indexed

from segment_em.dataset import Clips, load, shuffled
from segment_em.frames import FrameReader
from segment_em.index_files import read_index

TF_DATA = "tf.data: parse, decode_raw, shuffle, padded_batch, one thread"
MEMCPY = "np.copyto of the same bytes between arrays that were touched before"


def sizes(quick: bool) -> dict:
    return {"videos": 8 if quick else 512, "shortest": SHORTEST_OF_245_KB}


def measured(quick: bool) -> list[Row]:
    videos = sizes(quick)["videos"]
    with tempfile.TemporaryDirectory() as folder:
        counts = frame_counts(videos, SHORTEST_OF_245_KB)
        records, index = write_indexed(Path(folder), counts)
        reader = FrameReader(read_index([index]), MAX_FRAMES)
        clips = Clips(reader, SEGMENT_FRAMES, None, False)
        timers = [
            lambda work=work: seconds(work)
            for work in (batches(clips), ahead(clips), filled(reader), copied(reader))
        ]
        ours, thread, into, memcpy, *tf_data = timed(timers, records, videos)
    return [
        against_memcpy("batches in the job itself (loader_workers: 0)", videos, ours, memcpy),
        against_memcpy("batches read ahead by one thread", videos, thread, memcpy),
        against_memcpy("batches into memory that is there", videos, into, memcpy),
        against_tf_data("in the job itself", videos, ours, tf_data),
        against_tf_data("read ahead by one thread", videos, thread, tf_data),
    ]


def timed(timers: list, records: Path, videos: int) -> list[list[float]]:
    """Seconds of each side; TensorFlow's come last, where it is installed."""
    if not tensorflow_process.installed():
        return side_by_side(timers)
    with tensorflow_process.timers(records, videos) as timer:
        return side_by_side([*timers, timer("batches")])


def against_memcpy(what: str, videos: int, ours: list[float], memcpy: list[float]) -> Row:
    return compared(what, "videos/s", videos, ours, MEMCPY, memcpy, at_least=0.4)


def against_tf_data(how: str, videos: int, ours: list[float], tf_data: list[list[float]]) -> Row:
    what = f"batches {how}, against tf.data"
    if not tf_data:
        return Row(what, "videos/s", against=TF_DATA, why=tensorflow_process.WHY_NOT, at_least=20)
    return compared(what, "videos/s", videos, ours, TF_DATA, tf_data[0], at_least=20)


def batches(clips: Clips):
    """What a thread that reads ahead does: an epoch of one batch, in another order each time."""
    epochs = count()

    def work() -> None:
        for _ in load(clips, epoch_of(clips, next(epochs)), workers=0, pin=False):
            pass

    return work


def epoch_of(clips: Clips, epoch: int) -> list[np.ndarray]:
    rows = np.arange(len(clips.reader.index))
    return shuffled(rows, clips.frame_counts, len(rows), 0, epoch)


def ahead(clips: Clips) -> Callable[[], None]:
    """The same through one thread that reads ahead; the CPU seconds of both threads count."""
    epochs = count()

    def work() -> None:
        for _ in load(clips, epoch_of(clips, next(epochs)), workers=1, pin=False):
            pass

    return work


def filled(reader: FrameReader):
    """The same into arrays that were used before, as pinned memory is."""
    rows = np.random.default_rng(0).permutation(len(reader.index))
    out, _ = reader.batch(rows, MAX_FRAMES)
    return lambda: reader.fill(rows, out)


def copied(reader: FrameReader):
    """The bytes of one padded batch, copied."""
    source, _ = reader.batch(np.arange(len(reader.index)), MAX_FRAMES)
    target = {name: np.ones_like(array) for name, array in source.items()}

    def work() -> None:
        for name, array in source.items():
            np.copyto(target[name], array)

    return work


if __name__ == "__main__":
    run(measured, __doc__, sizes)
