"""What a stage makes of its settings."""

import pytest
from small_models import SMALL

from segment_em import stages
from segment_em.provenance import TrainingJob

JOB = TrainingJob({}, [], threads=1, workers=0, gpus=0, state_minutes=60, compile=False)


def settings(batch, max_frames):
    features = [["rgb", 8], ["audio", 4]]
    return stages.Training(
        *("logistic", SMALL["logistic"], features, max_frames, 5, 0.01, batch, 1, 0),
        *("linear", 1.0, "float32", 0),
    )


@pytest.mark.parametrize(
    ("batch", "max_frames", "videos", "warned"),
    # 300 frames are 60 segments, 1,200 are 240.
    [(4800, 300, 80, False), (480, 300, 8, False), (256, 300, 4, True), (256, 1200, 1, True)],
)
def test_a_batch_of_segments_is_as_many_videos_as_have_them_and_few_are_warned_of(
    caplog, batch, max_frames, videos, warned
):
    assert settings(batch, max_frames).plan(True, JOB).videos == videos
    said = f"a batch of {batch} segments is {videos} videos of data.max_frames ({max_frames})"
    assert (said in caplog.text) == warned


def test_a_batch_of_a_sequence_model_is_counted_in_videos(caplog):
    assert settings(4, 1200).plan(False, JOB).videos == 4
    assert not caplog.text
