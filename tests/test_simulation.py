"""The simulated records have the statistics that their settings and the public figures state."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from segment_em.class_lists import read_class_list, read_vocabulary
from segment_em.errors import InputError
from segment_em.indexing import build_index
from segment_em.simulation.settings import SPECTRA, Settings
from segment_em.simulation.video import simulate_video
from segment_em.simulation.world import World
from segment_em.simulation.writing import write_split, write_vocabulary
from segment_em.terms import SPLITS

ROOT = Path(__file__).parent.parent
FEATURES = {"rgb": 32, "audio": 8}


def settings(**changes):
    entries = yaml.safe_load((ROOT / "config.yaml").read_text())["data"]["simulation"]
    del entries["files"]
    return Settings(features=FEATURES, **entries | changes)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folder with all splits at the demo's number of videos, with small features."""
    folder = tmp_path_factory.mktemp("simulated")
    for split in SPLITS:
        paths = [folder / f"{split}-{n}.tfrecord" for n in range(2)]
        write_split(settings(), split, paths, folder / f"{split}.npz")
    write_vocabulary(settings(), folder / "vocabulary.csv", folder / "classes.csv")
    return folder


def index(folder, split):
    return build_index(sorted(folder.glob(f"{split}-*.tfrecord")), FEATURES, 5)


def truth_of(folder, split):
    """{video id: [(class, start, end)]}"""
    truth = np.load(folder / f"{split}.npz")
    columns = (truth["class_id"], truth["start_frame"], truth["end_frame"])
    entries = list(zip(*(column.tolist() for column in columns), strict=True))
    bounds = truth["indptr"].tolist()
    return {
        str(name): entries[first:stop]
        for name, first, stop in zip(truth["video_ids"], bounds, bounds[1:], strict=False)
    }


def test_a_video_has_three_labels_on_average(written):
    labels = index(written, "train").labels
    assert np.diff(labels.indptr).mean() == pytest.approx(3.0, abs=0.25)


def test_some_labels_are_missing_and_some_are_wrong_as_set(written):
    train = index(written, "train")
    truth = truth_of(written, "train")
    missing = wrong = true = given = 0
    for row, name in enumerate(train.video_ids):
        labelled = set(train.labels.indices[slice(*train.labels.indptr[row : row + 2])].tolist())
        occurring = {entry[0] for entry in truth[name]}
        missing += len(occurring - labelled)
        wrong += len(labelled - occurring)
        true += len(occurring)
        given += len(labelled)
    assert missing / true == pytest.approx(settings().missing_labels, abs=0.05)
    assert wrong / given == pytest.approx(settings().wrong_labels, abs=0.05)


@pytest.mark.parametrize("split", ["segments", "test"])
def test_a_bit_more_than_half_of_the_ratings_are_positive(written, split):
    ratings = index(written, split).ratings
    assert ratings.positive.mean() == pytest.approx(0.557, abs=0.03)


def test_a_rated_video_has_about_five_ratings(written):
    ratings = index(written, "segments").ratings
    assert 4.5 < np.diff(ratings.indptr).mean() < 6.5


def test_the_training_set_is_not_rated_and_the_test_set_not_labelled(written):
    assert index(written, "train").ratings.indptr[-1] == 0
    assert index(written, "test").labels.indptr[-1] == 0


def test_raters_agree_with_the_truth_up_to_their_error(written):
    rated, truth = index(written, "test"), truth_of(written, "test")
    agreed = total = 0
    frames = rated.modalities["rgb"].frames
    for row, name in enumerate(rated.video_ids):
        for n in range(*rated.ratings.indptr[row : row + 2]):
            start = int(rated.ratings.start_second[n])
            stop = min(start + 5, int(frames[row]))
            if start >= stop:
                continue  # past the end
            seconds = sum(
                max(0, min(stop, e) - max(start, s))
                for c, s, e in truth[name]
                if c == rated.ratings.class_id[n]
            )
            agreed += (2 * seconds >= stop - start) == bool(rated.ratings.positive[n])
            total += 1
    assert agreed / total == pytest.approx(1 - settings().rater_error, abs=0.015)


def test_popular_classes_have_smaller_ids_and_more_videos(written):
    labels = index(written, "train").labels.indices
    ids = sorted(read_vocabulary(written / "vocabulary.csv"))
    counts = np.array([np.count_nonzero(labels == i) for i in ids])
    third = len(ids) // 3
    assert counts[:third].mean() > 1.5 * counts[-third:].mean()


def test_the_class_list_is_unsorted_and_part_of_the_vocabulary(written):
    lines = (written / "classes.csv").read_text().split()
    assert lines[0] == "Index"
    assert lines[1:] != sorted(lines[1:], key=int)
    listed = read_class_list(written / "classes.csv")
    assert len(listed) == settings().segment_classes
    assert set(listed) <= read_vocabulary(written / "vocabulary.csv").keys()


def test_every_file_is_the_same_when_written_again(written, tmp_path):
    paths = [tmp_path / f"test-{n}.tfrecord" for n in range(2)]
    write_split(settings(), "test", paths, tmp_path / "test.npz")
    for path in paths:
        assert path.read_bytes() == (written / path.name).read_bytes()
    assert (tmp_path / "test.npz").read_bytes() == (written / "test.npz").read_bytes()


def test_the_records_do_not_depend_on_what_the_processor_can_do(written, tmp_path):
    """numpy sorts by other algorithms where there is no AVX2, which order equal keys otherwise."""
    has = np._core._multiarray_umath.__cpu_features__
    wide = [name for name in np._core._multiarray_umath.__cpu_dispatch__ if has[name]]
    if not wide:
        pytest.skip("this processor has none of the features that can be turned off")
    plain = [tmp_path / f"segments-{n}.tfrecord" for n in range(2)]
    names = [str(path) for path in plain]
    write = f"t.write_split(t.settings(), 'segments', {names!r}, 'truth.npz')"
    subprocess.run(
        [sys.executable, "-c", f"import test_simulation as t; {write}"],
        cwd=tmp_path,
        env=os.environ
        | {"NPY_DISABLE_CPU_FEATURES": " ".join(wide)}
        | {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), *sys.path])},
        check=True,
    )
    for path in plain:
        assert path.read_bytes() == (written / path.name).read_bytes()


def test_another_seed_gives_other_videos(tmp_path):
    worlds = [World(settings(seed=seed)) for seed in (0, 1)]
    videos = [simulate_video(world, "train", 0) for world in worlds]
    assert videos[0].frames["rgb"].tobytes() != videos[1].frames["rgb"].tobytes()


def test_look_alikes_have_the_same_looks_and_different_topics():
    world = World(settings())
    pairs = [(k, int(twin)) for k, twin in enumerate(world.twin) if twin > k]
    assert len(pairs) == settings().look_alike_pairs
    for first, second in pairs:
        assert world.topic[first] != world.topic[second]
        for appearance in world.appearances.values():
            looks = appearance.prototypes
            np.testing.assert_array_equal(looks[first], looks[second])


def test_a_look_alike_never_shares_a_scene():
    world = World(settings())
    alike = set(world.class_ids[world.twin >= 0].tolist())
    for number in range(60):
        video = simulate_video(world, "train", number)
        shown = np.zeros(len(video.frames["rgb"]), int)
        lonely = np.zeros_like(shown, dtype=bool)
        entries = zip(video.class_id, video.start_frame, video.end_frame, strict=True)
        for class_id, start, end in entries:
            shown[start:end] += 1
            lonely[start:end] |= int(class_id) in alike
        assert (shown[lonely] == 1).all()


def area_under_curve(values, positive):
    """Train ridge regression on every other row; return its area under the curve on the rest."""
    train = np.arange(len(values)) % 2 == 0
    centred = values - values[train].mean(axis=0)
    kernel = centred @ centred[train].T
    ridge = np.trace(kernel[train]) / train.sum() * np.eye(train.sum())
    scores = kernel @ np.linalg.solve(kernel[train] + ridge, 2.0 * positive[train] - 1)
    above, below = scores[~train & positive], scores[~train & ~positive]
    return (above[:, None] > below).mean()


def own_and_other_frames(video, class_id):
    """Mean of up to five frames that show the class, and of all that do not; None if too few."""
    count = min(len(frames) for frames in video.frames.values())
    shown = np.zeros(count, bool)
    for found, start, end in zip(video.class_id, video.start_frame, video.end_frame, strict=True):
        shown[start:end] |= found == class_id
    if shown.sum() < 5 or (~shown).sum() < 5:
        return None
    frames = np.concatenate([part[:count] for part in video.frames.values()], axis=1)
    return frames[shown][:5].mean(axis=0), frames[~shown].mean(axis=0)


def test_only_the_rest_of_the_video_tells_look_alikes_apart():
    world = World(settings())
    videos = [simulate_video(world, "train", n) for n in range(1600)]
    blind, seeing = [], []
    for first in np.flatnonzero(world.twin > np.arange(len(world.twin))):
        pair = world.class_ids[[first, world.twin[first]]]
        named = [(v, c) for v in videos for c in pair if c in v.class_id]
        means = [(own_and_other_frames(v, c), c == pair[0]) for v, c in named]
        kept = [(*mean, label) for mean, label in means if mean is not None]
        own, other, label = (np.array(column) for column in zip(*kept, strict=True))
        blind.append(area_under_curve(own, label))
        seeing.append(area_under_curve(other, label))
    assert np.mean(blind) == pytest.approx(0.5, abs=0.1)
    assert np.mean(seeing) > 0.75


def test_five_frames_of_a_segment_do_not_average_their_variation_away():
    world = World(settings())
    frames, segments = [], []
    for number in range(100):
        values = simulate_video(world, "train", number).frames["rgb"].astype(float)
        values = values[: len(values) // 5 * 5]
        frames.append(values)
        segments.append(values.reshape(-1, 5, values.shape[1]).mean(axis=1))
    left = np.concatenate(segments).var(axis=0).sum() / np.concatenate(frames).var(axis=0).sum()
    assert left > 0.5  # independent frames would leave a fifth


def test_a_video_can_be_drawn_again_alone_whatever_the_files(written, tmp_path):
    video = simulate_video(World(settings()), "train", 1234)
    truth = np.load(written / "train.npz")
    assert truth["video_ids"][1234] == video.id
    row = slice(*truth["indptr"][1234:1236])
    np.testing.assert_array_equal(truth["start_frame"][row], video.start_frame)
    few = settings(videos={"train": 3, "segments": 1, "test": 1})
    for files in (1, 3):
        paths = [tmp_path / f"{files}-{n}.tfrecord" for n in range(files)]
        write_split(few, "train", paths, tmp_path / f"{files}.npz")
    one, three = (sorted(tmp_path.glob(f"{files}-*.tfrecord")) for files in (1, 3))
    assert one[0].read_bytes() == b"".join(path.read_bytes() for path in three)


def test_ids_differ_over_all_videos_of_all_splits(written):
    ids = [str(name) for split in SPLITS for name in index(written, split).video_ids]
    assert len(set(ids)) == len(ids) == sum(settings().videos.values())


def test_stored_bytes_spread_as_the_real_vectors_do():
    """Reference: the spectrum that was measured on the 5,771 real vectors of the collage."""
    entries = settings()
    world = World(dataclasses.replace(entries, features={"rgb": 1024, "audio": 128}))
    frames = np.concatenate([simulate_video(world, "train", n).frames["rgb"] for n in range(80)])
    values = frames * (4 / 255) + 4 / 512 - 2
    spectrum = SPECTRA["rgb"]
    expected = spectrum.level * (np.arange(1024) + spectrum.shift) ** -spectrum.decay
    assert values.std(axis=0)[100:].mean() == pytest.approx(expected[100:].mean(), rel=0.15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segment_classes": 70}, "segment_classes <= vocabulary_classes"),
        ({"look_alike_pairs": 30}, "two segment_classes each"),
        ({"frames": {"mean": 5, "minimum": 10, "maximum": 20}}, "frames needs"),
        ({"rater_error": 0.6}, "out of reach"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        settings(**change)
