"""What an E-step did, counted by hand on five stored scores."""

import numpy as np
import pandas as pd
import pytest
from test_truth import write_truth

from segment_em.errors import InputError
from segment_em.inspection import inspect
from segment_em.pseudo_label_files import SegmentScores, write_pseudo_labels

# Video a has two segments, b one. Class 3 is carried by a, class 8 by b.
#            a:0 class 3   a:0 class 8   a:5 class 3   b:0 class 3   b:0 class 8
SCORES = [0.9, 0.8, 0.2, 0.7, 0.6]
CARRIED = [True, False, True, False, True]


def write_chunk(path):
    scores = SegmentScores(
        np.array([0, 2, 3, 5]),
        np.array([0, 1, 0, 0, 1]),
        np.array(SCORES, np.float16),
        np.zeros(5, np.float16),
        np.array(CARRIED),
    )
    write_pseudo_labels(
        path, scores, np.array(["a", "b"]), np.array([0, 2, 3]), np.array([3, 8]), {}
    )
    return path


@pytest.fixture
def sources(tmp_path):
    sets = {}
    for estimation in ("video_prior", "label_corrected"):
        sets[estimation] = tmp_path / f"{estimation}.csv"
        table = pd.DataFrame({"class": [3, 8], "threshold_others": 0.65, "threshold": 0.5})
        # What else is counted is not looked at here.
        counted = ("videos", "videos_with_positive", "positives", "score_sum")
        table = table.assign(**dict.fromkeys(counted, 1), segments=3)
        table.to_csv(sets[estimation], index=False)
    return [write_chunk(tmp_path / "000.h5")], sets


def test_labels_are_counted_by_class_and_estimation(sources):
    found = inspect(*sources, None, None, 5, 100).set_index(["estimation", "class"])
    # The prior keeps a:0 class 3 and b:0 class 8; without it a:0 class 8 and b:0 class 3 too.
    expected = {
        ("video_prior", 3): [1, 1, 2],
        ("video_prior", 8): [1, 1, 2],
        ("label_corrected", 3): [2, 1, 2],
        ("label_corrected", 8): [2, 1, 2],
    }
    for key, counts in expected.items():
        assert found.loc[key, ["positives", "agreed", "any"]].tolist() == counts
    assert found[["correct", "true"]].isna().all(axis=None)


def test_labels_are_held_against_the_truth(sources, tmp_path):
    # Truly: class 3 in a:0 and a:5, class 8 in a:0.
    truth = write_truth(tmp_path / "t.npz", {"a": (10, [(3, 0, 10), (8, 0, 5)]), "b": (5, [])})
    found = inspect(*sources, None, truth, 5, 100).set_index(["estimation", "class"])
    assert found.loc[("video_prior", 3), ["correct", "true"]].tolist() == [1, 2]
    assert found.loc[("video_prior", 8), ["correct", "true"]].tolist() == [0, 1]
    assert found.loc[("label_corrected", 8), ["correct", "true"]].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda rows: rows[:-1], r"000\.h5: 2 classes that are not the 1 of the label set"),
        (lambda rows: [*rows[:-1], rows[-1].replace("0.5", "")], r"prior\.csv: column threshold "),
    ],
)
def test_a_label_set_that_was_cut_or_changed_is_refused(sources, damage, told):
    path = sources[1]["video_prior"]
    path.write_text("\n".join(damage(path.read_text().splitlines())) + "\n")
    with pytest.raises(InputError, match=told):
        inspect(*sources, None, None, 5, 100)


def test_chunks_add_up(sources, tmp_path):
    paths, sets = sources
    once, twice = (
        inspect(paths, sets, None, None, 5, 100),
        inspect(paths * 2, sets, None, None, 5, 100),
    )
    assert (twice["positives"] == 2 * once["positives"]).all()
