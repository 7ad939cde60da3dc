"""Records to uint8 arrays, both CRCs checked, on one core: videos a second, beside TensorFlow."""

import tempfile
from pathlib import Path

import tensorflow_process
from measure import Row, compared, run, seconds, side_by_side
from synthetic import FEATURES, SHORTEST_OF_245_KB, frame_counts, write_videos

from segment_em.records import examples_in, frame_array, mapped

# No ratings: 99 of 100 records of YouTube-8M are training videos, which have none.
BASELINES = {
    "eager": "parse_single_sequence_example and decode_raw called a record, one thread",
    "mapped": "the same two in tf.data's map, one thread, videos delivered to Python",
    "graph": "the same pipeline drained within a graph, one thread, nothing delivered",
    "starter": "the starter code's reader in tf.data's map: also float32, dequantised, 300 frames",
}
ASKED = dict.fromkeys(("eager", "mapped", "graph"), 15)  # the starter's does more than we do


def sizes(quick: bool) -> dict:
    return {"videos": 8 if quick else 512, "shortest": SHORTEST_OF_245_KB, "widths": FEATURES}


def measured(quick: bool) -> list[Row]:
    videos = sizes(quick)["videos"]
    counts = frame_counts(videos, SHORTEST_OF_245_KB)
    with tempfile.TemporaryDirectory() as folder:
        path = write_videos(Path(folder) / "videos.tfrecord", counts, rated=False)
        if not tensorflow_process.installed():
            (own,) = side_by_side([lambda: seconds(lambda: arrays_of(path))])
            return [alone(row, videos, own) for row in BASELINES.values()]
        with tensorflow_process.timers(path, videos) as timer:
            ours, *theirs = side_by_side(
                [lambda: seconds(lambda: arrays_of(path)), *(timer(name) for name in BASELINES)]
            )
    return [
        compared(
            f"reader, against TensorFlow ({name})",
            "videos/s",
            videos,
            ours,
            against,
            seconds_of,
            at_least=ASKED.get(name),
        )
        for (name, against), seconds_of in zip(BASELINES.items(), theirs, strict=True)
    ]


def alone(against: str, videos: int, own: list[float]) -> Row:
    """Our rate where there is no TensorFlow to compare with."""
    rate = videos / sorted(own)[len(own) // 2]
    return Row("reader", "videos/s", rate, against, why=tensorflow_process.WHY_NOT, at_least=15)


def arrays_of(path: Path) -> int:
    """Read a file through; returns the number of frames."""
    buffer = mapped(path)
    return sum(
        len(frame_array(buffer, example.frames[name], width))
        for example in examples_in(buffer, path, FEATURES)
        for name, width in FEATURES.items()
    )


if __name__ == "__main__":
    run(measured, __doc__, sizes)
