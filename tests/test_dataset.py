"""Batches: what was stored arrives on the device, dequantised and masked; order is fixed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_records import FEATURES, VIDEOS, video_frames

from segment_em.dataset import Clips, Dequantise, load, shuffled
from segment_em.errors import InputError
from segment_em.frames import FrameReader
from segment_em.targets import Ratings, VideoLabels

CLASS_IDS = np.array([3, 8, 20])


def clips(index, source=None, labelled_segments_only=False, max_frames=25):
    return Clips(FrameReader(index, max_frames), 5, source, labelled_segments_only)


def dequantise(index):
    return Dequantise({name: (m.scale, m.bias) for name, m in index.modalities.items()})


def test_features_are_dequantised_as_in_the_starter_code_and_padding_is_zero(small_index):
    batch = clips(small_index)[np.array([0, 1])]
    features = dequantise(small_index)(batch)
    for name, width in FEATURES.items():
        assert features[name].shape == (2, 15, width)
        for clip, video in enumerate("ab"):
            stored = video_frames(video)[name].astype(np.float64)
            expected = stored * 4 / 255 + 4 / 512 - 2
            np.testing.assert_allclose(features[name][clip, : len(stored)], expected, atol=1e-6)
            assert (features[name][clip, len(stored) :] == 0.0).all()


def test_the_mask_counts_the_frames_of_the_first_modality(small_index):
    batch = clips(small_index)[np.array([1, 2])]
    assert batch.mask.sum(1).tolist() == [7, 0]  # b has 7 rgb and 6 audio frames
    assert batch.segment_mask(5).tolist() == [[True, True], [False, False]]


def test_long_videos_are_cut(small_index):
    source = clips(small_index)
    assert source.segment_counts().tolist() == [3, 2, 0, 1, 5]
    assert source[np.array([4])].mask.shape == (1, 25)


def test_targets_become_dense_on_the_device(small_index):
    batch = clips(small_index, VideoLabels(small_index, CLASS_IDS))[np.array([0, 1])]
    assert batch.video_targets(3).tolist() == [[1, 1, 0], [0, 0, 1]]


def test_segment_targets_tell_negative_from_unknown(small_index):
    counts = clips(small_index).segment_counts()
    batch = clips(small_index, Ratings(small_index, CLASS_IDS, counts, 5, False))[np.array([0])]
    targets, rated, _ = batch.segment_targets(3, 3)
    assert targets[0].tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert rated[0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_only_rated_segments_are_asked_about_where_the_rest_is_of_no_use(small_index):
    counts = clips(small_index).segment_counts()
    ratings = Ratings(small_index, CLASS_IDS, counts, 5, False)
    batch = clips(small_index, ratings, labelled_segments_only=True)[np.array([1, 4])]
    # b: segments 0 and 1 are rated, of 7 frames. e: cut to 25 frames, its ratings lie past them.
    assert batch.mask.sum(1).tolist() == [7, 0]


def test_an_epoch_holds_every_video_once_in_an_order_of_its_own():
    rows, lengths = np.arange(100) * 3, np.arange(300) % 50
    first, second = (shuffled(rows, lengths, 32, seed=7, epoch=epoch) for epoch in (0, 1))
    assert sorted(len(batch) for batch in first) == [4, 32, 32, 32]
    for epoch in (first, second):
        assert sorted(np.concatenate(epoch)) == rows.tolist()
    assert np.concatenate(first).tolist() != np.concatenate(second).tolist()
    again = shuffled(rows, lengths, 32, seed=7, epoch=0)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))


def test_the_videos_of_a_batch_have_similar_lengths_and_batches_come_in_any_order():
    lengths = np.random.default_rng(0).integers(1, 300, 2000)
    batches = shuffled(np.arange(2000), lengths, 10, seed=7, epoch=0)
    means = [lengths[batch].mean() for batch in batches]
    padding = sum(len(b) * lengths[b].max() for b in batches) / lengths.sum() - 1
    assert padding < 0.1  # .8 in batches drawn at random
    assert abs(np.corrcoef(means[1:], means[:-1])[0, 1]) < 0.2
    # Longer videos are not kept together from epoch to epoch.
    other = shuffled(np.arange(2000), lengths, 10, seed=7, epoch=1)
    together = {frozenset(pair) for b in batches for pair in zip(b[1:], b[:-1], strict=True)}
    again = {frozenset(pair) for b in other for pair in zip(b[1:], b[:-1], strict=True)}
    assert len(together & again) < 0.1 * len(together)


@pytest.mark.parametrize("workers", [1, 2])
def test_loader_workers_change_neither_order_nor_content(small_index, workers):
    source = clips(small_index, VideoLabels(small_index, CLASS_IDS))
    batches = shuffled(np.arange(len(VIDEOS)), source.frame_counts, 2, seed=0, epoch=0)
    for one, other in zip(
        load(source, batches, 0, pin=False),
        load(source, batches, workers, pin=False),
        strict=True,
    ):
        assert one.rows.tolist() == other.rows.tolist()
        for name in FEATURES:
            assert torch.equal(one.stored[name], other.stored[name])
        for a, b in zip(one.labels, other.labels, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_while_reading_ahead_arrives_as_it_is(small_index, workers):
    Path(small_index.files[0]).write_bytes(b"")
    with pytest.raises(InputError, match="changed since it was indexed"):
        list(load(clips(small_index, None), [np.array([0])], workers, pin=False))
