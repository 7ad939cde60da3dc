"""Evaluation of one model and of several, and the scores of each rating that it writes."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_scorers import CLASS_IDS, JOB, SETTINGS, ensemble_of, plain_scores, weights

from segment_em import evaluation, ratings_table, scoring
from segment_em.annotations import rated_segments, unrated
from segment_em.errors import InputError
from segment_em.index_files import write_index

MEASURE = evaluation.Measure(top_segments=100_000, replicates=10, seed=0)


@pytest.fixture
def index_path(tmp_path, small_index):
    write_index(tmp_path / "index.h5", small_index, {})
    return tmp_path / "index.h5"


def evaluate(folder, scorers, index_path, fraction=None, measure=MEASURE):
    out, ratings = folder / "out.json", folder / "out.ratings.csv"
    evaluation.evaluate_models(
        scorers, [index_path], fraction, out, ratings, SETTINGS, measure, JOB
    )
    return json.loads(out.read_text())["results"], ratings


def test_ratings_become_rows_and_columns_of_the_score_matrix(small_index):
    counts = np.array([3, 2, 0, 1, 5])
    rated, starts = evaluation.ratings_of_rows(small_index, counts, CLASS_IDS, 5)
    found = list(zip(*(array.tolist() for array in rated), strict=True))
    # (row, column, positive, video) of the ratings in small_records; class 99 has no column.
    assert found == [
        (0, 0, True, 0),
        (1, 1, False, 0),
        (2, 2, True, 0),
        (3, 2, True, 1),
        (4, 0, False, 1),
        (-1, 2, True, 1),  # second 15 of a video of 7 frames
        (-1, 0, True, 4),  # the video is cut to 25 frames
        (-1, 0, False, 4),
    ]
    assert starts.tolist() == [0, 5, 10, 0, 5, 15, 25, 30]


def test_evaluation_writes_a_result_for_each_scorer(tmp_path, index_path):
    paths = [weights(tmp_path, f"{n}.safetensors", n) for n in (0, 1)]
    scorers = {"one": paths[0], "both": ensemble_of(tmp_path, paths, [0.5, 0.5])}
    results, _ = evaluate(tmp_path, scorers, index_path)
    assert set(results) == {"one", "both"}
    assert results["one"]["ratings"] == 8
    assert results["one"]["positives"] == 5
    assert results["one"]["ap"]["8"] is None  # no positive rating
    assert 0 <= results["both"]["map"] <= 1
    assert not list(tmp_path.glob(".*"))


def test_each_rating_has_its_score_and_its_rank_among_all_segments(
    tmp_path, index_path, small_index
):
    """Reference: each video alone through the model, and sorting in plain Python."""
    path = weights(tmp_path, "0.safetensors", 0)
    _, ratings = evaluate(tmp_path, {"one": path}, index_path)
    table = pd.read_csv(ratings)
    assert list(table.columns) == [
        *("video_id", "start", "class", "positive"),
        *("one_score", "one_rank"),
    ]
    scores = plain_scores(path, small_index)
    for row in table.itertuples():
        column = CLASS_IDS.tolist().index(row._3)
        of_video = scores[row.video_id]
        if row.start // 5 >= len(of_video):
            assert np.isnan(row.one_score)
            assert row.one_rank == -1
            continue
        score = of_video[row.start // 5, column]
        assert row.one_score == pytest.approx(score, abs=1e-6)
        everything = np.concatenate(list(scores.values()))[:, column]
        assert row.one_rank == (everything > score + 1e-7).sum()


def test_map_and_its_spread_can_be_taken_again_from_the_table(tmp_path, index_path):
    paths = {str(n): weights(tmp_path, f"{n}.safetensors", n) for n in (0, 1)}
    measure = evaluation.Measure(top_segments=4, replicates=25, seed=3)
    results, ratings = evaluate(tmp_path, paths, index_path, measure=measure)
    table = ratings_table.read(ratings)
    assert (table.ranks["0"] == -1).any()
    for name in paths:
        map_B = table.bootstrap_map(name, 25, 3, "map")
        assert np.nanstd(map_B, ddof=1) == results[name]["map_sd"]


def test_a_test_set_without_ratings_is_not_scored_and_has_a_table_without_rows(
    tmp_path, index_path, small_index, monkeypatch
):
    ids = small_index.video_ids
    nothing = rated_segments("", ids, unrated(len(ids)), 5)
    write_index(tmp_path / "unrated.h5", replace(small_index, ratings=nothing), {})
    monkeypatch.delattr(scoring.Scorer, "parts")
    path = weights(tmp_path, "0.safetensors", 0)
    results, ratings = evaluate(tmp_path, {"one": path}, tmp_path / "unrated.h5")
    assert results["one"]["map"] is None
    assert ratings.read_text() == "video_id,start,class,positive,one_score,one_rank\n"
    assert len(ratings_table.read(ratings).starts) == 0


def test_a_validation_part_without_positives_is_refused(tmp_path, index_path):
    path = weights(tmp_path, "w.safetensors", 0)
    with pytest.raises(InputError, match=r"raise data\.validation_fraction"):
        evaluate(tmp_path, {"x": path}, index_path, fraction=0.0)


def test_validation_is_scored_by_members_that_were_not_fine_tuned_on_it(tmp_path, index_path):
    again, judged = weights(tmp_path, "refit.safetensors", 0), weights(tmp_path, "w.safetensors", 1)
    joined = ensemble_of(tmp_path, [again], [1.0], validated=[judged])
    for fraction, member in ((None, again), (1.0, judged)):
        results, _ = evaluate(tmp_path, {"joined": joined, "one": member}, index_path, fraction)
        assert results["joined"]["ap"] == results["one"]["ap"]
    others, _ = evaluate(tmp_path, {"again": again, "judged": judged}, index_path)
    assert others["again"]["ap"] != others["judged"]["ap"]


def test_scorers_of_other_classes_are_evaluated_apart(tmp_path, index_path):
    one = weights(tmp_path, "one.safetensors", 0)
    two = weights(tmp_path, "two.safetensors", 0, class_ids=[3, 8])
    with pytest.raises(InputError, match=r"two\.safetensors: other classes than .*one"):
        evaluate(tmp_path, {"one": one, "two": two}, index_path)
