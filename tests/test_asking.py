"""The memory that jobs ask for, by hand from the sizes of files."""

import asking
import numpy as np
import pytest

from segment_em import estimators, labels, pseudo_label_files


def files(folder, **megabytes):
    for name, size in megabytes.items():
        with open(folder / name, "wb") as file:
            file.truncate(size * 10**6)
    return [str(folder / name) for name in megabytes]


def test_each_process_has_room_of_its_own_and_for_its_inputs(tmp_path):
    inputs = files(tmp_path, a=100, b=50)
    assert asking.megabytes(2000, 1, 1, inputs, []) == 2150
    assert asking.megabytes(2000, 1, 2, inputs, []) == 4150
    # Whoever is tried more often ended by something else than memory.
    for attempt in (3, 4, 7):
        assert asking.megabytes(2000, 1, attempt, inputs, []) == 8150
    assert asking.megabytes(2000, 4, 1, inputs, []) == 4 * 2150
    assert asking.megabytes(2000, 2, 1, inputs, [], held=3e8) == 2 * 2450


def test_what_is_counted_a_file_at_a_time_needs_room_for_the_largest(tmp_path):
    whole, counted = files(tmp_path, a=100), files(tmp_path, c=10, d=30)
    assert asking.megabytes(2000, 1, 1, whole, counted) == 2000 + 100 + 7 * 30


def test_an_input_that_is_not_there_yet_is_asked_for_later(tmp_path):
    with pytest.raises(FileNotFoundError):
        asking.megabytes(2000, 1, 1, [str(tmp_path / "none")], [])


def test_an_m_step_holds_the_labels_of_its_set_or_every_entry_of_the_files(tmp_path):
    chunks = files(tmp_path, a=90, b=180)  # 30 million entries
    assert asking.label_bytes(chunks, None) == 540e6
    (tmp_path / "set.csv").write_text("class,positives,segments\n3,1000,9000\n8,500,9000\n")
    assert asking.label_bytes(chunks, str(tmp_path / "set.csv")) == 1500 * 18


@pytest.mark.parametrize(
    "text",
    [
        *("", "class,other\n3,5\n", "class,positives\n3\n", "positives\nx\n"),
        'positives\n"' + "5\n" * 100_000,  # a field of more than csv takes
    ],
)
def test_a_damaged_label_set_asks_for_nothing_so_that_its_job_can_name_it(tmp_path, text):
    (tmp_path / "set.csv").write_text(text)
    assert asking.label_bytes([], str(tmp_path / "set.csv")) == 0


def test_what_an_m_step_asks_for_its_labels_is_what_it_takes(tmp_path):
    """Bytes of its arrays while the longest column is joined, for each label that is kept."""
    scores = np.full((2000, 50), 0.75, np.float32)
    path = str(tmp_path / "0.h5")
    sparse = pseudo_label_files.sparse_scores(scores, scores > 1, 0.0, 50, np.zeros_like(scores))
    ids, indptr = np.array(["a"]), np.array([0, 2000])
    pseudo_label_files.write_pseudo_labels(path, sparse, ids, indptr, np.arange(50), {})
    keep = estimators.load("label_corrected")
    for agreement, threshold in ((False, 0.5), (True, 0.9)):
        rule = labels.LabelRule(keep, np.full((50, 2), threshold), None, False, agreement)
        source = labels.PseudoLabels([path], ids, [2000], rule, np.arange(50), np.zeros(50))
        columns = (source.segment, source.column, source.value, source.weight)
        entry = sum(column.itemsize for column in columns) + source.segment.itemsize
        assert len(source.segment) == 100_000
        assert entry == asking.LABEL_BYTES
    # What the files are, where each entry is kept.
    assert 1 <= asking.label_bytes([path], None) / (asking.LABEL_BYTES * 100_000) < 1.1
