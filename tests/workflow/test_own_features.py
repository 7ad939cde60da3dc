"""What README.md and docs/data.md show about data of one's own works as it stands there."""

import h5py
import numpy as np
import pandas as pd
import pytest
from documentation import texts
from workflow_runs import TINY, snakemake

from segment_em.indexing import build_index

SEGMENTS = 5  # of each video
CLASSES = [3, 7, 11]


def test_the_examples_of_own_files_can_be_indexed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    examples = [code for code in texts("docs/data.md", "python") if "own." in code]
    for example in examples:
        exec(example, {})
    features = build_index([tmp_path / "own.h5"], {"clip": 512}, 5)
    records = build_index([tmp_path / "own.tfrecord"], {"clip": 512}, 5)
    assert features.video_ids.tolist() == ["first", "second"]
    assert features.labels.indptr.tolist() == [0, 2, 3]
    assert features.labels.indices.tolist() == [3, 7, 7]
    assert features.modalities["clip"].frames.tolist() == [40, 25]
    assert features.ratings.class_id.tolist() == [7]
    assert records.video_ids.tolist() == ["third"]
    assert records.labels.indices.tolist() == [3, 7]
    assert records.modalities["clip"].frames.tolist() == [40]
    assert records.ratings.start_second.tolist() == [10]


def test_the_readmes_own_file_can_be_indexed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames = np.random.default_rng(0).normal(size=(65, 512)).astype(np.float16)
    example = next(code for code in texts("README.md", "python") if "h5py" in code)
    exec(example, {"frames": frames})
    index = build_index([tmp_path / "train0.h5"], {"clip": 512}, 5)
    assert index.video_ids.tolist() == ["first", "second"]
    assert index.modalities["clip"].frames.tolist() == [40, 25]
    assert index.labels.indptr.tolist() == [0, 2, 3]
    assert index.labels.indices.tolist() == [3, 7, 7]
    example = next(code for code in texts("README.md", "python") if "ratings/indptr" in code)
    exec(example, {"h5py": h5py, "frames": frames})
    rated = build_index([tmp_path / "rated0.h5"], {"clip": 512}, 5)
    assert rated.video_ids.tolist() == ["third", "fourth"]
    ratings = rated.ratings
    assert ratings.indptr.tolist() == [0, 1, 3]
    assert ratings.class_id.tolist() == [7, 3, 7]
    assert ratings.positive.tolist() == [True, False, True]


def own_file(path, names, rated):
    """HDF5 features in which each segment shows one class, as a direction of its own."""
    rng = np.random.default_rng(len(names))
    shown_VS = rng.choice(CLASSES, (len(names), SEGMENTS))
    directions = {name: rng_of.normal(size=512) for name, rng_of in generators()}
    frames = np.stack([directions[name] for name in shown_VS.ravel()]).repeat(5, axis=0)
    labels = [np.unique(row) for row in shown_VS]
    with h5py.File(path, "w") as file:
        file["video_ids"] = names
        file["features/clip/frames"] = frames.astype(np.float16)
        file["features/clip/indptr"] = np.arange(len(names) + 1) * SEGMENTS * 5
        if not rated:
            file["labels/indptr"] = np.cumsum([0, *map(len, labels)])
            file["labels/indices"] = np.concatenate(labels)
            return
        # Two segments of each video, asked whether they show 7.
        file["ratings/indptr"] = np.arange(len(names) + 1) * 2
        file["ratings/start_second"] = np.tile([0, 10], len(names))
        file["ratings/class_id"] = np.full(2 * len(names), 7)
        file["ratings/score"] = (shown_VS[:, [0, 2]] == 7).astype(np.int64).ravel()


def generators():
    return [(name, np.random.default_rng(name)) for name in CLASSES]


@pytest.mark.docs
def test_the_readme_config_localises_in_own_hdf5_files(tmp_path):
    for kind, file, count in [
        ("train", 0, 20),
        ("train", 1, 20),
        ("rated", 0, 30),
        ("test", 0, 12),
    ]:
        names = [f"{kind}{100 * file + number}" for number in range(count)]
        own_file(tmp_path / f"{kind}{file}.h5", names, rated=kind != "train")
    names = [f"Straße/{number}, a" for number in CLASSES]
    pd.DataFrame({"Index": CLASSES, "Name": names}).to_csv(tmp_path / "classes.csv", index=False)
    config = next(block for block in texts("README.md", "yaml") if "experiment: mine" in block)
    (tmp_path / "mine.yaml").write_text(config.replace("/data/mine", str(tmp_path)))
    run = snakemake(
        *(tmp_path, "--config", "controls=false"),
        *("em={iterations: [[logistic@video_prior]]}", "training={pretrain: {epochs: 20}}"),
        configs=[TINY, tmp_path / "mine.yaml"],
    )
    assert run.returncode == 0, run.stdout
    found = pd.read_csv(tmp_path / "results/mine/localisations.csv")
    assert set(found["video_id"]) <= {f"test{number}" for number in range(12)}
    assert set(found["name"]) <= set(names)
    table = pd.read_csv(tmp_path / "results/mine/table.csv")
    # Each class is a direction of its own: what is rated is found.
    assert table.loc[table["kind"] == "ensemble", "test_map"].item() > 0.9
