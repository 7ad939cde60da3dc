"""Who scores the videos that the report shows."""

import numpy as np
import pytest
from small_scorers import JOB, SETTINGS, ensemble_of, plain_scores, weights

from segment_em.index_files import write_index
from segment_em.prediction_files import read_predictions
from segment_em.replay import replay


@pytest.mark.parametrize("alone", [False, True])
def test_videos_of_validation_are_scored_by_what_was_not_fine_tuned_on_them(
    tmp_path, small_index, alone
):
    again, judged = weights(tmp_path, "refit.safetensors", 0), weights(tmp_path, "w.safetensors", 1)
    scorer = judged if alone else ensemble_of(tmp_path, [again], [1.0], validated=[judged])
    write_index(tmp_path / "index.h5", small_index, {})
    (tmp_path / "shown.csv").write_text("part,video_id\ntest,a\nvalidation,b\nvalidation,e\n")
    outs = {part: tmp_path / f"{part}.h5" for part in ("test", "validation")}
    indexes = {part: [tmp_path / "index.h5"] for part in outs}
    replay(scorer, indexes, tmp_path / "shown.csv", outs, SETTINGS, JOB)
    expected = {"test": judged if alone else again, "validation": judged}
    for part, names in (("test", ["a"]), ("validation", ["b", "e"])):
        found = read_predictions(outs[part])
        assert found.video_ids.tolist() == names
        scores = plain_scores(expected[part], small_index)
        everything = np.concatenate([scores[name] for name in names])
        np.testing.assert_allclose(found.scores, everything, atol=1e-6)
