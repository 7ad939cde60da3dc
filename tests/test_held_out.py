"""Which rated videos are held out, and what is judged on them."""

from pathlib import Path

import numpy as np
import pytest

from segment_em.ensemble import Ensemble
from segment_em.errors import InputError
from segment_em.held_out import Fold, Validation

THIRDS = Validation(1 / 3, 3)


@pytest.mark.parametrize(("video_id", "share"), [("x4Qp", 0xD085), ("vidéo", 0xBC6B)])
def test_a_fold_follows_the_sha256_of_the_id(video_id, share):
    # share: first four digits of `printf x4Qp | sha256sum`, and of vidéo
    assert Fold(share / 2**16, 0).holds_out([video_id]).tolist() == [False]
    assert Fold((share + 1) / 2**16, 0).holds_out(np.array([video_id])).tolist() == [True]
    # .8152 and .7360 of the whole: in the last quarter, and in the last but one.
    number = {"x4Qp": 3, "vidéo": 2}[video_id]
    found = [Fold(0.25, n).holds_out([video_id])[0] for n in range(4)]
    assert found == [n == number for n in range(4)]


def test_adding_videos_moves_none_between_the_folds():
    ids = [f"video{number}" for number in range(2000)]
    for fold in (Fold(0.2, 0), Fold(0.2, 3)):
        before = fold.holds_out(np.array(ids[500:1000]))
        held_out = fold.holds_out(ids)
        assert held_out[500:1000].tolist() == before.tolist()
        assert abs(held_out.mean() - 0.2) < 0.03


def test_without_folds_a_model_is_judged_itself_on_what_it_was_not_tuned_on(small_index):
    validation = Validation(0.5, 0)
    scorer = Ensemble.of_one("run/finetuned.safetensors")
    ((judge, videos),) = validation.parts(scorer, small_index)
    (tuning,) = validation.tuning(small_index)
    assert judge == scorer
    assert 0 < len(videos) < len(small_index)
    assert ids_of(videos) == ids_of(validation.videos(small_index))
    assert sorted(ids_of(videos) + ids_of(tuning)) == sorted(ids_of(small_index))


def test_with_folds_each_video_is_judged_once_by_what_was_not_tuned_on_it(small_index):
    members = [("a/finetuned.safetensors", 0.7), ("b/pretrained.safetensors", 0.3)]
    paths = tuple((Path(path), weight) for path, weight in members)
    scorer = Ensemble(paths, "geometric", 0.5, (0, 2))
    parts = THIRDS.parts(scorer, small_index)
    assert len(parts) == 3
    whole, *tuned = THIRDS.tuning(small_index)
    assert ids_of(whole) == ids_of(small_index)
    for number, ((judge, videos), rest) in enumerate(zip(parts, tuned, strict=True)):
        # The pretrained one has seen no rating.
        assert judge == Ensemble(
            ((Path(f"a/fold-{number}.safetensors"), 0.7), paths[1]), "geometric", 0.5, (0, 2)
        )
        assert sorted(ids_of(videos) + ids_of(rest)) == sorted(ids_of(small_index))
    judged = [name for _, videos in parts for name in ids_of(videos)]
    assert sorted(judged) == sorted(ids_of(small_index))
    assert judged == ids_of(THIRDS.videos(small_index))
    assert len([videos for _, videos in parts if len(videos)]) > 1


def test_what_was_not_fine_tuned_judges_all_folds_itself(small_index):
    scorer = Ensemble.of_one("run/pretrained.safetensors")
    ((judge, videos),) = THIRDS.parts(scorer, small_index)
    assert judge == scorer
    assert ids_of(videos) == ids_of(THIRDS.videos(small_index))


@pytest.mark.parametrize(
    ("validation", "remedy"),
    [
        (Validation(0.3, 0), "raise data.validation_fraction or rate more segments"),
        (
            Validation(0.3, 2),
            "raise data.validation_fraction or data.validation_folds or rate more segments",
        ),
        (Validation(0.3333, 3), "rate more segments"),
        (Validation(0.5, 2), "rate more segments"),
    ],
)
def test_the_remedy_for_too_few_ratings_is_one_that_can_be_followed(validation, remedy):
    assert validation.remedy == remedy


def test_weights_that_no_fold_stands_in_for_are_refused(small_index):
    copied = Ensemble.of_one("em/iteration-1/selected.safetensors")
    with pytest.raises(InputError, match=r"selected.safetensors: .* give finetuned.safetensors"):
        THIRDS.parts(copied, small_index)


def ids_of(index):
    return index.video_ids.tolist()
