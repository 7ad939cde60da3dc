"""The table of ratings: what is written is read back, to the bit."""

import numpy as np
import pytest

from segment_em import ratings_table
from segment_em.errors import InputError
from segment_em.ratings_table import RatingScores

TABLE = RatingScores(
    np.array(["NA", "07", "07"]),
    np.array([0, 5, 5]),
    np.array([20, 3, 20]),
    np.array([True, False, True]),
    {"a": np.array([1 / 3, 1e-30, np.nan], np.float32), "b": np.zeros(3, np.float32)},
    {"a": np.array([0, 7, -1]), "b": np.array([1, 2, 3])},
)


def test_a_table_is_read_back_as_it_was_written(tmp_path):
    ratings_table.write(tmp_path / "x.ratings.csv", TABLE)
    found = ratings_table.read(tmp_path / "x.ratings.csv")
    assert found.video_ids.tolist() == ["NA", "07", "07"]
    for name in ("starts", "classes", "positive"):
        np.testing.assert_array_equal(getattr(found, name), getattr(TABLE, name))
    for name in ("a", "b"):
        np.testing.assert_array_equal(found.scores[name], TABLE.scores[name])
        np.testing.assert_array_equal(found.ranks[name], TABLE.ranks[name])


def test_ids_come_back_whatever_is_in_them(tmp_path):
    names = ["видео", "影片-7", "🎬", "e\u0301", "c\rd", "e\nf", " g ", 'a,"b"', "\u2028", "\x85"]
    count = np.arange(len(names))
    score = np.zeros(len(names), np.float32)
    table = RatingScores(np.array(names), 5 * count, count, count > 4, {"a": score}, {"a": count})
    ratings_table.write(tmp_path / "x.csv", table)
    assert ratings_table.read(tmp_path / "x.csv").video_ids.tolist() == names
    # By hand, as RFC 4180 has it: only what needs quotes is in them, and quotes are doubled.
    written = (tmp_path / "x.csv").read_bytes().decode()
    assert written.startswith("video_id,start,class,positive,a_score,a_rank\nвидео,0,0,0,0.0,0\n")
    assert '\n"c\rd",20,4,0,0.0,4\n"e\nf",25,5,1,0.0,5\n g ,30,6,1,0.0,6\n' in written
    assert '\n"a,""b""",35,7,1,0.0,7\n' in written


def test_classes_and_videos_are_numbered_in_the_order_of_the_index():
    rated = TABLE.rated()
    assert rated.column.tolist() == [1, 0, 1]
    assert rated.video.tolist() == [0, 1, 1]  # NA before 07, as it stands


@pytest.mark.parametrize("text", ["", "video_id,start\na,0\n"])
def test_what_is_no_table_of_ratings_is_refused(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(InputError, match=r"x\.csv: not a table of ratings"):
        ratings_table.read(tmp_path / "x.csv")
