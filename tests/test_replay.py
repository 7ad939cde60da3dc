"""Who scores the videos that the report shows."""

import json

import numpy as np
import pytest
from small_scorers import JOB, SETTINGS, ensemble_of, plain_scores, weights

from segment_em.held_out import Fold, Validation
from segment_em.index_files import write_index
from segment_em.predictions import read_predictions
from segment_em.replay import replay, scorer_of

HALVES = Validation(0.5, 2)


@pytest.fixture
def scored(tmp_path, small_index):
    """Replays of some shown videos: {video id: scores} of each part."""
    write_index(tmp_path / "index.h5", small_index, {})
    indexes = {part: [tmp_path / "index.h5"] for part in ("test", "validation")}
    outs = {part: tmp_path / f"{part}.h5" for part in indexes}

    def run(scorer, shown):
        rows = [f'"{part}","{name}"\n' for part, names in shown.items() for name in names]
        (tmp_path / "shown.csv").write_text("part,video_id\n" + "".join(rows))
        replay(scorer, HALVES, indexes, tmp_path / "shown.csv", outs, SETTINGS, JOB)
        return {part: by_video(read_predictions(out)) for part, out in outs.items()}

    return run


def by_video(chunk):
    starts = chunk.video_indptr
    return {
        name: np.asarray(chunk.scores[starts[row] : starts[row + 1]])
        for row, name in enumerate(chunk.video_ids.tolist())
    }


@pytest.mark.parametrize("shown", ["abe", "be", "a", ""])  # of two folds, of one, of none
def test_videos_of_validation_are_scored_by_what_has_not_seen_them(
    tmp_path, small_index, scored, shown
):
    finetuned = weights(tmp_path, "finetuned.safetensors", 0)
    folds = [weights(tmp_path, f"fold-{n}.safetensors", n + 1) for n in range(2)]
    joined = ensemble_of(tmp_path, [finetuned], [1.0])
    found = scored(scorer_of(joined), {"test": "ab", "validation": shown})
    assert set(found["test"]) == {"a", "b"}
    assert set(found["validation"]) == {*shown}
    for name, scores in found["test"].items():
        np.testing.assert_allclose(scores, plain_scores(finetuned, small_index)[name], atol=1e-6)
    for name, scores in found["validation"].items():
        (number,) = (n for n in range(2) if Fold(0.5, n).holds_out([name])[0])
        expected = plain_scores(folds[number], small_index)[name]
        np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_f_is_what_was_selected_and_not_what_teaches(tmp_path, small_index, scored):
    f = weights(tmp_path, "pretrained.safetensors", 3)
    teacher = json.loads(ensemble_of(tmp_path, [tmp_path / "other"], [1.0]).read_text())
    told = {"selected": {"weights": str(f), "stage": "pretrained"}} | teacher
    (tmp_path / "selected.json").write_text(json.dumps(told))
    found = scored(scorer_of(tmp_path / "selected.json"), {"test": "a", "validation": "abe"})
    # Fine-tuned on no rating, it is validated itself.
    for part in found.values():
        for name, scores in part.items():
            np.testing.assert_allclose(scores, plain_scores(f, small_index)[name], atol=1e-6)
