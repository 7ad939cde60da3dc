"""The index: what it says of records and of own features, however they are spread over chunks."""

import re
import shutil
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from segment_em.errors import InputError
from segment_em.index import columns_of, in_validation, segments_of
from segment_em.index_files import read_index, write_index
from segment_em.indexing import build_index
from segment_em.records import Ratings, encode_example, write_records

FIXTURES = Path(__file__).parent / "fixtures"
SMALL = {"rgb": 8, "audio": 4}


def contents(index):
    """All that an index says, as plain lists, for comparison."""
    modalities = {
        name: [m.width, m.dtype, m.scale, m.bias]
        + [column.tolist() for column in (m.file, m.offset, m.stride, m.frames)]
        for name, m in index.modalities.items()
    }
    arrays = [index.file_bytes, index.video_ids, *index.labels, *index.ratings]
    arrays += [index.payload_end, index.payload_crc]
    return [index.files, list(modalities.items()), [(str(a.dtype), a.tolist()) for a in arrays]]


def ratings_of(index, row):
    start, end = index.ratings.indptr[row : row + 2]
    columns = (index.ratings.start_second, index.ratings.class_id, index.ratings.positive)
    return list(zip(*(column[start:end].tolist() for column in columns), strict=True))


def labels_of(index, row):
    start, end = index.labels.indptr[row : row + 2]
    return index.labels.indices[start:end].tolist()


def rated(*entries):
    return Ratings(*map(np.array, zip(*entries, strict=True), (np.int64, np.int64, np.float32)))


def video(video_id, frames=6, labels=(), ratings=None, seed=0):
    random = np.random.default_rng(seed)
    arrays = {name: random.integers(0, 256, (frames, w), np.uint8) for name, w in SMALL.items()}
    return encode_example(video_id, np.array(labels, np.int64), arrays, ratings)


@pytest.fixture
def five_files(tmp_path):
    """Five record files of 0 to 4 videos with labels and ratings."""
    paths = []
    for number in range(5):
        paths.append(str(tmp_path / f"train{number}.tfrecord"))
        videos = [
            video(
                f"v{number}{i}", 3 + i, range(i), rated((5 * i, number, 1.0)), seed=10 * number + i
            )
            for i in range(number)
        ]
        write_records(paths[-1], videos)
    return paths


# Ratings.


def test_a_rating_past_the_end_or_the_cut_is_of_no_segment(small_index):
    # In the order of the index: a at 0, 5, 10; b (7 frames) at 0, 5, 15; d at 0; e at 25, 30.
    def exists(max_frames):
        segments_V = segments_of(small_index.frames_read(max_frames), 5)
        return small_index.located_ratings(np.array([3]), segments_V, 5).exists.tolist()

    assert exists(60) == [True, True, True, True, True, False, True, True, True]
    assert exists(10) == [True, True, False, True, True, False, True, False, False]


def test_ratings_lie_in_rows_segments_and_columns(small_index):
    found = small_index.located_ratings(np.array([3, 8, 20]), np.array([3, 2, 0, 1, 7]), 5)
    assert found.video.tolist() == [0, 0, 0, 1, 1, 1, 3, 4, 4]
    assert found.segment.tolist() == [0, 1, 2, 0, 1, 3, 0, 5, 6]
    # b's last lies past its end, d's is of class 99.
    assert found.usable.tolist() == [True, True, True, True, True, False, False, True, True]
    classes = np.array([3, 8, 20])[found.column[found.usable]]
    assert classes.tolist() == small_index.ratings.class_id[found.usable].tolist()


# Records.


def test_index_of_tensorflows_records_holds_ids_lengths_and_labels():
    index = build_index([FIXTURES / "small.tfrecord"], SMALL, 5)
    row = {video_id: number for number, video_id in enumerate(index.video_ids.tolist())}
    assert len(index) == len(row) == 12
    frames = {name: modality.frames for name, modality in index.modalities.items()}
    assert frames["rgb"][row["301 frames"]] == 301
    assert (frames["rgb"][row["long rgb"]], frames["audio"][row["long rgb"]]) == (7, 6)
    assert frames["audio"][row["no audio"]] == 0
    assert labels_of(index, row["older"]) == [1, 2]
    assert labels_of(index, row["no labels"]) == labels_of(index, row["empty labels"]) == []


def test_official_records_are_dequantised_as_in_the_starter_code():
    for modality in build_index([FIXTURES / "small.tfrecord"], SMALL, 5).modalities.values():
        assert (modality.dtype, modality.scale, modality.bias) == ("uint8", 4 / 255, 4 / 512 - 2)


def test_equal_ratings_are_merged_contradictory_ones_counted_and_late_ones_kept():
    index = build_index([FIXTURES / "small.tfrecord"], SMALL, 5)
    row = index.video_ids.tolist().index("rated")
    assert index.modalities["rgb"].frames[row] == 12
    # Stored: (5, 9) yes twice, (0, 2) no, (5, 2) yes, (10, 2) no and yes, (40, 9) yes.
    assert ratings_of(index, row) == [(0, 2, False), (5, 2, True), (5, 9, True), (40, 9, True)]
    assert index.ratings.contradictory.tolist() == [int(number == row) for number in range(12)]


def test_labels_are_distinct_and_ascending(tmp_path):
    write_records(tmp_path / "a", [video("a", labels=[7, 3, 7]), video("b", labels=[7])])
    index = build_index([tmp_path / "a"], SMALL, 5)
    assert (labels_of(index, 0), labels_of(index, 1)) == ([3, 7], [7])


@pytest.mark.parametrize(
    ("entry", "expected"),
    [((7, 1, 1.0), "no multiple of 5"), ((5, 1, 0.5), "0 nor 1"), ((5, 1, np.nan), "0 nor 1")],
)
def test_ratings_off_the_grid_or_between_the_answers_are_an_error(tmp_path, entry, expected):
    write_records(tmp_path / "a", [video("a"), video("x4Qp", ratings=rated((0, 1, 1), entry))])
    with pytest.raises(InputError, match=f"video 'x4Qp': rating of class 1 .*{expected}"):
        build_index([tmp_path / "a"], SMALL, 5)


def test_no_files_and_a_file_listed_twice_are_errors():
    with pytest.raises(InputError, match="no files to index"):
        build_index([], SMALL, 5)
    with pytest.raises(InputError, match="listed twice"):
        build_index([FIXTURES / "small.tfrecord", str(FIXTURES / "small.tfrecord")], SMALL, 5)


def test_a_file_without_records_is_an_index_without_videos(tmp_path):
    write_index(tmp_path / "i.h5", build_index([FIXTURES / "empty.tfrecord"], SMALL, 5), {})
    index = read_index([tmp_path / "i.h5"])
    assert len(index) == 0
    assert index.modalities["audio"].width == 4
    assert len(index.take([])) == 0


# Chunks.


@pytest.mark.parametrize(
    "chunks", [[[0, 1, 2, 3, 4]], [[4, 0], [2, 1, 3]], [[3], [1], [4], [2], [0]]]
)
def test_index_does_not_depend_on_how_files_are_spread_over_chunks(tmp_path, five_files, chunks):
    whole = build_index(five_files, SMALL, 5)
    assert whole.video_ids.tolist() == [f"v{n}{i}" for n in range(5) for i in range(n)]
    paths = []
    for number, files in enumerate(chunks):
        paths.append(tmp_path / f"{number}.h5")
        write_index(paths[-1], build_index([five_files[f] for f in files], SMALL, 5), {})
    assert contents(read_index(paths)) == contents(whole)


def test_the_same_index_is_written_in_the_same_bytes(tmp_path, five_files):
    for name in ("a.h5", "b.h5"):
        write_index(tmp_path / name, build_index(five_files, SMALL, 5), {"made-from": "records"})
        time.sleep(1.1)  # HDF5 would store times in seconds
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_attributes_are_kept_beside_type_and_version(tmp_path, five_files):
    write_index(tmp_path / "i.h5", build_index(five_files, SMALL, 5), {"made-from": "records"})
    with h5py.File(tmp_path / "i.h5") as file:
        assert file.attrs["encoding-type"] == "segment-em-index"
        assert file.attrs["encoding-version"] == "1.0"
        assert file.attrs["made-from"] == "records"


def test_an_id_that_occurs_twice_is_an_error_that_names_both_files(tmp_path):
    for name in ("a", "b"):
        write_records(tmp_path / name, [video("x4Qp", seed=ord(name))])
        write_index(tmp_path / f"{name}.h5", build_index([tmp_path / name], SMALL, 5), {})
    expected = f"video 'x4Qp' is in {tmp_path / 'a'} and in {tmp_path / 'b'}"
    with pytest.raises(InputError, match=expected):
        build_index([tmp_path / "a", tmp_path / "b"], SMALL, 5)
    with pytest.raises(InputError, match=expected):
        read_index([tmp_path / "a.h5", tmp_path / "b.h5"])
    write_records(tmp_path / "c", [video("x4Qp"), video("x4Qp", seed=1)])
    with pytest.raises(InputError, match=r"'x4Qp' is twice in .*/c: a video may"):
        build_index([tmp_path / "c"], SMALL, 5)


def test_chunks_that_disagree_on_modalities_are_an_error(tmp_path, five_files):
    write_index(tmp_path / "a.h5", build_index(five_files[:3], SMALL, 5), {})
    write_index(tmp_path / "b.h5", build_index(five_files[3:], {"rgb": 8}, 5), {})
    with pytest.raises(InputError, match="must agree"):
        read_index([tmp_path / "a.h5", tmp_path / "b.h5"])


# Rows.


@pytest.mark.parametrize("rows", [[3, 0, 3, 9], slice(2, 7), [], np.arange(10) % 3 == 0])
def test_taken_rows_are_those_of_the_whole_index(five_files, rows):
    whole = build_index(five_files, SMALL, 5)
    part = whole.take(rows)
    chosen = np.arange(10)[rows].tolist() if len(np.arange(10)[rows]) else []
    assert part.video_ids.tolist() == [whole.video_ids[row] for row in chosen]
    for new, row in enumerate(chosen):
        assert labels_of(part, new) == labels_of(whole, row)
        assert ratings_of(part, new) == ratings_of(whole, row)
        assert part.payload_crc[new] == whole.payload_crc[row]
        for name, modality in part.modalities.items():
            assert modality.offset[new] == whole.modalities[name].offset[row]
    assert part.labels.indptr[-1] == len(part.labels.indices)


# Damaged and foreign index files.


@pytest.fixture
def index_file(tmp_path, five_files):
    path = tmp_path / "index.h5"
    write_index(path, build_index(five_files, SMALL, 5), {})
    return path


@pytest.mark.parametrize(
    ("key", "value"), [("encoding-type", "segment-em-labels"), ("encoding-version", "2.0")]
)
def test_unknown_type_or_version_is_refused_with_what_was_found(index_file, key, value):
    with h5py.File(index_file, "a") as file:
        file.attrs[key] = value
    with pytest.raises(InputError, match=f"{value}.* expected 'segment-em-index' and '1.0'"):
        read_index([index_file])


def datasets(path):
    found = []
    with h5py.File(path) as file:
        file.visititems(lambda name, o: found.append(name) if isinstance(o, h5py.Dataset) else None)
    return found


def test_each_missing_or_shortened_dataset_is_named(tmp_path, index_file):
    found = datasets(index_file)
    assert len(found) == 20
    for key in found:
        for shortened in (False, True):
            path = tmp_path / "damaged.h5"
            shutil.copy(index_file, path)
            with h5py.File(path, "a") as file:
                values = file[key][...]
                del file[key]
                if shortened:
                    file[key] = values[:-1]
            with pytest.raises(InputError) as caught:
                read_index([path])
            assert shortened or f"dataset {key} " in str(caught.value)


@pytest.mark.parametrize(
    ("key", "row", "value"),
    [
        ("features/rgb/offset", 0, 2**40),
        ("features/rgb/offset", 0, -1),
        ("features/audio/frames", 2, 10**6),
        ("features/audio/frames", 2, -1),
        ("features/audio/stride", 1, 0),
        ("features/rgb/file", 0, 5),
        ("features/rgb/file", 0, -1),
        ("payload_end", 0, 2**40),
        ("labels/indptr", 1, 10**6),
        ("ratings/indptr", 0, 1),
    ],
)
def test_places_outside_the_files_are_refused(index_file, key, row, value):
    with h5py.File(index_file, "a") as file:
        file[key][row] = value
    with pytest.raises(InputError, match="delete it and build the index again"):
        read_index([index_file])


def test_a_cut_file_and_a_file_of_another_kind_are_refused(tmp_path, index_file):
    content = index_file.read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.h5").write_text("no HDF5")
    for name in ("cut.h5", "text.h5"):
        with pytest.raises(InputError, match=f"{name}: not a readable HDF5 file.*: delete it"):
            read_index([tmp_path / name])
    with pytest.raises(InputError, match=r"none\.h5: no such file$"):
        read_index([tmp_path / "none.h5"])


# Own features.


def own_file(path, frames, counts, *, ids=None, options=None, **groups):
    """HDF5 file of own features with one modality, rgb."""
    with h5py.File(path, "w", **(options or {})) as file:
        file["video_ids"] = ids or [f"o{number}" for number in range(len(counts))]
        dataset = file.create_dataset("features/rgb/frames", data=frames)
        if frames.dtype == np.uint8:
            dataset.attrs["quantisation_range"] = [-2.0, 2.0]
        file["features/rgb/indptr"] = np.cumsum([0, *counts])
        for group, arrays in groups.items():
            for name, values in arrays.items():
                file[f"{group}/{name}"] = values
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32])
@pytest.mark.parametrize("userblock", [0, 512])
def test_own_features_lie_where_the_index_says(tmp_path, dtype, userblock):
    frames = np.random.default_rng(0).integers(0, 256, (9, 8)).astype(dtype)
    options = {"userblock_size": userblock}
    path = own_file(tmp_path / "own.h5", frames, [4, 0, 5], options=options)
    modality = build_index([path], {"rgb": 8}, 5).modalities["rgb"]
    assert (modality.dtype, modality.frames.tolist()) == (np.dtype(dtype).name, [4, 0, 5])
    content = path.read_bytes()
    size = 8 * np.dtype(dtype).itemsize
    for row, expected in ((0, frames[:4]), (2, frames[4:])):
        stored = content[modality.offset[row] :][: len(expected) * size]
        assert modality.stride[row] == size
        np.testing.assert_array_equal(np.frombuffer(stored, dtype).reshape(-1, 8), expected)


def test_own_labels_and_ratings_are_indexed_as_those_of_records(tmp_path):
    path = own_file(
        tmp_path / "own.hdf5",
        np.zeros((9, 8), np.float32),
        [4, 5],
        labels={"indptr": [0, 2, 3], "indices": [7, 3, 3]},
        ratings={
            "indptr": [0, 0, 3],
            "start_second": [5, 0, 5],
            "class_id": [3, 3, 3],
            "score": [1.0, 0.0, 1.0],
        },
    )
    index = build_index([path], {"rgb": 8}, 5)
    assert (labels_of(index, 0), labels_of(index, 1)) == ([3, 7], [3])
    assert ratings_of(index, 0) == []
    assert ratings_of(index, 1) == [(0, 3, False), (5, 3, True)]
    assert (index.payload_end.tolist(), index.payload_crc.tolist()) == ([-1, -1], [0, 0])


@pytest.mark.parametrize("linked", ["features/rgb/frames", "features/rgb", "features"])
def test_frames_that_a_link_takes_from_another_file_are_refused(tmp_path, linked):
    other = own_file(tmp_path / "other.h5", np.ones((4, 8), np.float32), [4])
    path = own_file(tmp_path / "own.h5", np.zeros((4, 8), np.float32), [4])
    with h5py.File(path, "a") as file:
        del file[linked]
        file[linked] = h5py.ExternalLink("other.h5", linked)
    with pytest.raises(InputError, match=rf"own\.h5: /features/rgb/frames lies in {other}: give"):
        build_index([path], {"rgb": 8}, 5)


def test_quantisation_range_gives_the_official_scale_and_any_other(tmp_path):
    path = own_file(tmp_path / "own.h5", np.zeros((4, 8), np.uint8), [4])
    modality = build_index([path], {"rgb": 8}, 5).modalities["rgb"]
    assert (modality.scale, modality.bias) == (4 / 255, 4 / 512 - 2)
    with h5py.File(path, "a") as file:
        file["features/rgb/frames"].attrs["quantisation_range"] = [0, 51]
    modality = build_index([path], {"rgb": 8}, 5).modalities["rgb"]
    assert (modality.scale, modality.bias) == (0.2, 51 / 512)


def test_the_examples_in_the_docs_can_be_indexed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[1] / "docs" / "data.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        exec(example, {})
    own = build_index(["own.h5"], {"clip": 512}, 5)
    assert own.video_ids.tolist() == ["first", "second"]
    assert labels_of(own, 0) == [3, 7]
    records = build_index(["own.tfrecord"], {"clip": 512}, 5)
    assert ratings_of(own, 1) == ratings_of(records, 0) == [(10, 7, True)]


def remade(file, key, values, **options):
    del file[key]
    return file.create_dataset(key, data=values, **options)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda f: remade(f, "features/rgb/frames", np.zeros((4, 8), "u1"), chunks=True),
            "chunked",
        ),
        (
            lambda f: remade(f, "features/rgb/frames", np.zeros((4, 8), "u1"), compression="gzip"),
            "store it contiguously",
        ),
        (
            lambda f: remade(
                *(f, "features/rgb/frames", None),
                **{"shape": (4, 8), "dtype": "f4", "external": [("raw.bin", 0, 128)]},
            ),
            "external: store it",
        ),
        (
            lambda f: remade(f, "features/rgb/frames", np.zeros((4, 9), "u1")),
            "expected 8 values a frame",
        ),
        (
            lambda f: remade(f, "features/rgb/frames", np.zeros((4, 1, 8), "u1")),
            r"shape \(4, 1, 8\), expected \[frames, 8\]",
        ),
        (lambda f: remade(f, "features/rgb/frames", np.zeros((4, 8), "f8")), "is <f8: store"),
        (lambda f: remade(f, "features/rgb/frames", np.zeros((4, 8), ">f4")), "is >f4: store"),
        (lambda f: remade(f, "features/rgb/frames", np.zeros((4, 8), "u1")), "quantisation_range"),
        (
            lambda f: remade(f, "features/rgb/frames", np.zeros((4, 8), "u1")).attrs.update(
                {"quantisation_range": ["-2", "2"]}
            ),
            "quantisation_range",
        ),
        (lambda f: remade(f, "features/rgb/indptr", [0, 3]), "rise from 0 to the 4"),
        (lambda f: remade(f, "features/rgb/indptr", [0, 2, 4]), r"expected integers, \(2,\)"),
        (lambda f: f.pop("features/rgb/frames"), r"train without it \(data.features.rgb: null\)"),
        (lambda f: f.move("features/rgb", "features/RGB"), r"missing \(under features: RGB\)"),
        (lambda f: f.pop("features"), r"missing \(under features: nothing\)"),
        (lambda f: f.pop("video_ids"), "dataset video_ids of strings is missing"),
        (lambda f: remade(f, "video_ids", [5]), "dataset video_ids is int64, expected strings"),
        (lambda f: remade(f, "video_ids", [b"\xff"]), "not UTF-8"),
        (lambda f: remade(f, "video_ids", [["o0"]]), r"shape \(1, 1\), expected a list"),
        (lambda f: remade(f, "video_ids", "o0"), r"shape \(\), expected a list"),
        (lambda f: remade(f, "video_ids", h5py.Empty(h5py.string_dtype())), "shape None, expected"),
        (lambda f: remade(f, "video_ids", [""]), "'' is not 1 to 255 bytes"),
        (
            lambda f: f.create_dataset("labels/indptr", data=[0, 1]),
            "dataset labels/indices is missing",
        ),
        (
            lambda f: f.update({"labels/indptr": [0, 1], "labels/indices": [3.0]}),
            r"labels/indices is float64 \(1,\), expected integers, \(1,\)",
        ),
        (
            lambda f: f.update({"labels/indptr": [0, 2], "labels/indices": [3, -1]}),
            "labels/indices: entry 1, -1, is below 0",
        ),
        (
            lambda f: f.update(
                {"labels/indptr": [0, 1], "labels/indices": np.array([2**63], "u8")}
            ),
            r"labels/indices: entry 0, 9223372036854775808, is above 2\^63 - 1",
        ),
    ],
)
def test_own_features_that_cannot_be_used_are_refused_with_the_remedy(tmp_path, change, expected):
    path = own_file(tmp_path / "own.h5", np.zeros((4, 8), np.uint8), [4])
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(InputError, match=expected) as caught:
        build_index([path], {"rgb": 8}, 5)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_own_features_that_are_not_finite_are_refused_with_their_place(tmp_path, dtype, value):
    frames = np.zeros((25_000, 8), dtype)
    frames[20_001, 3] = value
    path = own_file(tmp_path / "own.h5", frames, [20_000, 0, 5_000])
    expected = "rgb/frames: value 3 of frame 1 of video 'o2' is not finite"
    with pytest.raises(InputError, match=expected):
        build_index([path], {"rgb": 8}, 5)


@pytest.mark.parametrize(("size", "warned"), [(0.04, True), (0.5, False), (5.0, False), (80, True)])
def test_own_features_far_from_the_size_that_models_expect_are_warned_of(
    tmp_path, caplog, size, warned
):
    frames = np.random.default_rng(0).choice([-size, size], (20_001, 8)).astype(np.float32)
    path = own_file(tmp_path / "own.h5", frames, [20_001])
    build_index([path], {"rgb": 8}, 5)
    assert (f"rgb/frames has a root mean square of {size:.3g}" in caplog.text) == warned
    assert (f"multiply it by {1 / size:.2g}" in caplog.text) == warned


def test_own_features_without_a_value_are_warned_of(tmp_path, caplog):
    path = own_file(tmp_path / "own.h5", np.zeros((4, 8), np.float16), [4])
    build_index([path], {"rgb": 8}, 5)
    assert "rgb/frames is 0 everywhere: write its values" in caplog.text


def test_an_hdf5_file_of_another_ending_is_told_of_its_name(tmp_path):
    path = own_file(tmp_path / "own.hdf", np.zeros((4, 8), np.float16), [4])
    with pytest.raises(InputError, match=r"own.hdf: is an HDF5 file: .* endings .h5, .hdf5"):
        build_index([path], {"rgb": 8}, 5)


def test_of_files_that_disagree_the_modality_is_named(tmp_path):
    paths = [
        own_file(tmp_path / f"{dtype}.h5", np.ones((4, 8), dtype), [4])
        for dtype in ("float16", "float32")
    ]
    expected = r"float32.h5: rgb has .* \(8, 'float32', 1.0, 0.0\), but \(8, 'float16', 1.0, 0.0\)"
    with pytest.raises(InputError, match=expected):
        build_index(paths, {"rgb": 8}, 5)


# Splitting.


@pytest.mark.parametrize(("video_id", "share"), [("x4Qp", 0xD085), ("vidéo", 0xBC6B)])
def test_split_follows_the_sha256_of_the_id(video_id, share):
    # share: first four digits of `printf x4Qp | sha256sum`, and of vidéo
    assert in_validation([video_id], share / 2**16).tolist() == [False]
    assert in_validation(np.array([video_id]), (share + 1) / 2**16).tolist() == [True]


def test_adding_videos_moves_none_between_the_parts():
    ids = [f"video{number}" for number in range(2000)]
    before = in_validation(np.array(ids[500:1000]), 0.2)
    assert in_validation(ids, 0.2)[500:1000].tolist() == before.tolist()
    assert abs(in_validation(ids, 0.2).mean() - 0.2) < 0.03


# Classes.


def test_columns_are_positions_in_the_sorted_list_or_minus_one():
    class_ids = np.array([3, 7, 1831])
    columns = columns_of(class_ids, np.array([[7, 0, 4], [1831, 1832, 3]]))
    assert columns.tolist() == [[1, -1, -1], [2, -1, 0]]
    assert columns_of(class_ids, np.zeros(0, np.int64)).tolist() == []


def test_a_misspelt_group_of_own_features_is_told_and_others_are_passed_over(tmp_path, caplog):
    others = {"label": {"indptr": [0, 0]}, "notes": {"of": [1]}}
    path = own_file(tmp_path / "own.h5", np.ones((5, 8), np.float16), [5], **others)
    build_index([path], {"rgb": 8}, 5)
    assert "own.h5: label is not read; did you mean labels? (see docs/format.md" in caplog.text
    assert "notes" not in caplog.text
