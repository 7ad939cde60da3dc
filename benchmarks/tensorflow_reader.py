"""The TensorFlow side of reader.py and batches.py, run by the Python of .venv-bench.

Reads commands from standard input, one a line, and answers each with the CPU seconds that it took:
`eager`, `mapped`, `graph`, `starter` or `batches`. In one thread: the comparison is by core.
"""

import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import tensorflow as tf

WIDTHS = {"rgb": 1024, "audio": 128}
CONTEXT = {
    "id": tf.io.FixedLenFeature([], tf.string),
    "labels": tf.io.VarLenFeature(tf.int64),
}
FRAMES = {name: tf.io.FixedLenSequenceFeature([], tf.string) for name in WIDTHS}


def parsed(record):
    """Id, labels and {modality: uint8 [T, F]} of one record, as the starter code parses it."""
    context, lists = tf.io.parse_single_sequence_example(record, CONTEXT, FRAMES)
    arrays = {name: tf.io.decode_raw(lists[name], tf.uint8) for name in WIDTHS}
    return context["id"], context["labels"], arrays


def one_thread(dataset):
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    return dataset.with_options(options)


def eager(path):
    """The two calls for one record after the other."""
    for record in one_thread(tf.data.TFRecordDataset(path)):
        parsed(record)


def mapped(path):
    """The two calls in a tf.data pipeline; each video arrives in Python."""
    for _ in one_thread(tf.data.TFRecordDataset(path).map(parsed)):
        pass


@tf.function
def _drained(dataset):
    videos = 0
    for _ in dataset:
        videos += 1
    return videos


def graph(path):
    """The same pipeline within a graph: no video ever arrives in Python."""
    _drained(one_thread(tf.data.TFRecordDataset(path).map(parsed)))


def matrices(record):
    """What the starter code's get_video_matrix does after parsing, in float32 [300, F]."""
    video_id, labels, arrays = parsed(record)
    matrices = {}
    for name, width in WIDTHS.items():
        frames = tf.reshape(tf.cast(arrays[name], tf.float32), [-1, width])
        frames = frames * (4.0 / 255.0) + (4.0 / 512.0 - 2.0)
        frames = frames[:300]
        matrices[name] = tf.pad(frames, [[0, 300 - tf.shape(frames)[0]], [0, 0]])
    return video_id, labels, matrices


def starter(path):
    """The whole reader of the starter code; each video arrives in Python."""
    for _ in one_thread(tf.data.TFRecordDataset(path).map(matrices)):
        pass


def batches(path, videos):
    """Shuffled batches of frames padded to 300, as tf.data makes them."""
    dataset = tf.data.TFRecordDataset(path).map(lambda record: parsed(record)[2])
    shapes = {name: [300, width] for name, width in WIDTHS.items()}
    dataset = dataset.shuffle(videos).padded_batch(videos, padded_shapes=shapes)
    for _ in one_thread(dataset):
        pass


def main():
    path, videos = sys.argv[1], int(sys.argv[2])
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    works = {
        "eager": lambda: eager(path),
        "mapped": lambda: mapped(path),
        "graph": lambda: graph(path),
        "starter": lambda: starter(path),
        "batches": lambda: batches(path, videos),
    }
    print(tf.__version__, flush=True)
    for command in sys.stdin:
        started = time.process_time()
        works[command.strip()]()
        print(time.process_time() - started, flush=True)


if __name__ == "__main__":
    main()
