"""A run in which each model is fine-tuned on all ratings and validated by folds."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from workflow_runs import snakemake

from segment_em.checkpoint import load_weights
from segment_em.dataset import Clips, Dequantise
from segment_em.frames import FrameReader
from segment_em.held_out import Fold
from segment_em.index_files import read_index
from segment_em.predictions import read_predictions

pytestmark = pytest.mark.slow

MEMBER = "transformer_early@video_prior"
FOLDS = "data={validation_fraction: 0.5, validation_folds: 2}"
ITERATIONS = f"em={{select: iteration, iterations: [[{MEMBER}]]}}"  # so that it is F


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds")
    done = snakemake(folder, "--config", FOLDS, ITERATIONS)
    assert done.returncode == 0, done.stdout[-4000:]
    return folder


@pytest.fixture
def run(folder):
    return folder / "results/tiny/em/iteration-1" / MEMBER


def test_the_model_has_seen_all_ratings_and_what_validates_it_all_but_a_fold(run):
    seen = {path.stem: json.loads(path.read_text()) for path in run.glob("f*.json")}
    held_out = {stage: told["stamp"]["config"]["held_out"] for stage, told in seen.items()}
    folds = {f"fold-{n}": {"fraction": 0.5, "number": n} for n in range(2)}
    assert held_out == {"finetuned": None} | folds
    start = {str(told["stamp"]["inputs"]) for told in seen.values()}
    assert len(start) == 1


def test_each_rating_is_scored_by_the_model_that_has_not_seen_it(folder, run):
    """Reference: a plain forward pass, video by video. The report's scores are the same."""
    rated = read_index(sorted((folder / "results/index/tiny/segments").glob("*.h5")))
    table = pd.read_csv(run / "validation.ratings.csv", dtype={"video_id": str})
    known = np.isin(rated.ratings.class_id, table["class"])
    assert len(table) == known.sum()
    shown = read_predictions(folder / "results/tiny/report/scores/F1/validation.h5")
    at = dict(zip(shown.video_ids.tolist(), shown.video_indptr[:-1].tolist(), strict=True))
    assert len(at) == len(rated)
    for number in range(2):
        model, specification = load_weights(run / f"fold-{number}.safetensors")
        fold = rated.take(Fold(0.5, number).holds_out(rated.video_ids))
        clips = Clips(in_folder(folder, fold), 5, None, False)
        for row, name in enumerate(fold.video_ids.tolist()):
            batch = clips[np.array([row])]
            with torch.inference_mode():
                logits = model.eval()(Dequantise.of(fold)(batch), batch.mask)
            scores = torch.sigmoid(logits)[0].numpy()
            of_video = table[(table["video_id"] == name) & table["finetuned_score"].notna()]
            columns = np.searchsorted(specification.class_ids, of_video["class"])
            expected = scores[of_video["start"] // 5, columns]
            np.testing.assert_allclose(of_video["finetuned_score"], expected, atol=1e-5)
            count = clips.segment_counts()[row]
            found = shown.scores[at[name] : at[name] + count]
            np.testing.assert_allclose(found, scores[:count], atol=1e-5)


def in_folder(folder, index):
    """A reader of videos whose records the index names as the workflow does, from its folder."""
    files = [str(folder / file) for file in index.files]
    return FrameReader(index.__class__(**vars(index) | {"files": files}), 60)


def test_nothing_is_made_again_even_without_records_of_the_run(folder):
    shutil.rmtree(folder / ".snakemake")
    done = snakemake(folder, "-n", "--config", FOLDS, ITERATIONS)
    assert "Nothing to be done" in done.stdout
