"""What a stage makes of its settings and files, and hands to the training loop."""

import logging
import math
import os
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from small_models import SMALL
from small_records import FEATURES
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from segment_em import maximisation, pseudo_label_files, stages
from segment_em.checkpoint import Specification, load_weights, save_weights
from segment_em.errors import InputError
from segment_em.index import in_validation
from segment_em.index_files import write_index
from segment_em.provenance import TrainingJob

JOB = TrainingJob({}, [], threads=1, workers=0, gpus=0, state_minutes=60, compile=False)
CLASS_IDS = [3, 8, 20]
MODALITIES = [list(pair) for pair in FEATURES.items()]
ALL_TUNE = 1e-9  # a share of validation that no video falls into


def settings(options=(), **changes):
    given = {
        "architecture": "logistic",
        "options": SMALL["logistic"] | dict(options),
        "features": MODALITIES,
        "max_frames": 25,
        "segment_frames": 5,
        "learning_rate": 0.07,
        "batch": 10,
        "epochs": 3,
        "average_epochs": 2,
        "decay": "linear",
        "least_steps": 0,
        "clip_norm": 0.5,
        "precision": "float32",
        "seed": 4,
    }
    return stages.Training(**given | changes)


@pytest.mark.parametrize(
    ("batch", "max_frames", "videos", "warned"),
    # 300 frames are 60 segments, 1,200 are 240.
    [(4800, 300, 80, False), (480, 300, 8, False), (256, 300, 4, True), (256, 1200, 1, True)],
)
def test_a_batch_of_segments_is_as_many_videos_as_have_them_and_few_are_warned_of(
    caplog, batch, max_frames, videos, warned
):
    plan = settings(batch=batch, max_frames=max_frames).plan(True, 1000, JOB)
    assert plan.videos == videos
    said = f"a batch of {batch} segments is {videos} videos of data.max_frames ({max_frames})"
    assert (said in caplog.text) == warned


def label_files(folder, index, class_ids=CLASS_IDS):
    """A chunk of pseudo-labels and a label set of it.

    All score .6; .5 is enough where the video carries the class, .7 elsewhere. Video a, of three
    segments, carries the first two classes; b, of two, nothing.
    """
    scores = np.full((11, 3), 0.6, np.float32)
    carried = np.zeros((11, 3), bool)
    carried[:3, :2] = True
    sparse = pseudo_label_files.sparse_scores(scores, carried, 0.0, 20, np.full_like(scores, 0.25))
    pseudo_label_files.write_pseudo_labels(
        *(folder / "000.h5", sparse, index.video_ids, np.array([0, 3, 5, 5, 6, 11])),
        *(np.array(class_ids), {}),
    )
    counts = {"videos": 1, "videos_with_positive": 1, "positives": [3, 3, 0]}
    totals = {"score_sum": [1.8, 1.8, 0.0], "segments": 11}
    thresholds = {"threshold": 0.5, "threshold_others": 0.7}
    table = pd.DataFrame({"class": class_ids, **thresholds, **counts, **totals})
    table.to_csv(folder / "set.csv", index=False)
    return folder / "000.h5", folder / "set.csv"


def test_a_batch_of_a_sequence_model_is_counted_in_videos(caplog):
    assert settings(batch=4, max_frames=1200).plan(False, 1000, JOB).videos == 4
    assert not caplog.text


@pytest.mark.parametrize(
    ("videos", "a_batch"),
    # Three epochs: 1,000 videos make 300 steps of 10, fewer of more; 40 make 120 of one.
    [(10_000, 32), (1000, 10), (999, 9), (200, 2), (40, 1)],
)
def test_a_stage_of_few_steps_takes_smaller_batches_and_says_so(caplog, videos, a_batch):
    caplog.set_level(logging.INFO)
    plan = settings(batch=32, least_steps=300).plan(False, videos, JOB)
    assert plan.videos == a_batch
    steps = plan.epochs * math.ceil(videos / a_batch)
    assert steps >= 300 or a_batch == 1
    said = f"batches of {a_batch} videos, not of 32, for training.least_steps (300)"
    assert (said in caplog.text) == (a_batch < 32)


def test_a_plan_has_the_settings_of_its_stage():
    plan = settings().plan(True, 1000, JOB)
    for name in ("learning_rate", "epochs", "average_epochs", "decay", "clip_norm", "seed"):
        assert getattr(plan, name) == getattr(settings(), name)
    assert (plan.precision, plan.videos, plan.workers, plan.compile) == ("float32", 2, 0, False)


# What is handed over ----------------------------------------------------------------------------


@pytest.fixture
def handed(monkeypatch):
    """What the training loop was called with; nothing is trained."""
    found = {}

    def train(model, clips, rows, objective, dequantise, plan, device, state, events, uninformed):
        weights = {name: values.clone() for name, values in model.state_dict().items()}
        found.update(clips=clips, rows=rows, objective=objective, plan=plan, weights=weights)
        found.update(uninformed=uninformed)
        return [0.0]

    monkeypatch.setattr(stages, "train", train)
    return found


@pytest.fixture
def index_path(tmp_path, small_index):
    write_index(tmp_path / "index.h5", small_index, {})
    return tmp_path / "index.h5"


@pytest.fixture
def pretrained(tmp_path, index_path, handed):
    """Pretrain with a video loss and options, and return the weights."""

    def pretrain(video_loss="mean", options=()):
        (tmp_path / "classes.csv").write_text("Index\n3\n8\n20\n")
        out = tmp_path / "pretrained.safetensors"
        classes = tmp_path / "classes.csv"
        stages.pretrain(settings(options), video_loss, [index_path], classes, out, JOB)
        return out

    return pretrain


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"features": [["rgb", 16]]}, "made for features .* give files with these"),
        ({"segment_frames": 10}, "made for segments of 10 frames, not 5"),
    ],
)
def test_fine_tuning_refuses_weights_for_other_videos(tmp_path, index_path, other, told):
    what = {"features": MODALITIES, "segment_frames": 5} | other
    specification = Specification("logistic", SMALL["logistic"], class_ids=CLASS_IDS, **what)
    save_weights(tmp_path / "w.safetensors", specification.build(), specification, {}, "cpu")
    with pytest.raises(InputError, match=rf"w\.safetensors: {told}"):
        stages.finetune(
            settings(), ALL_TUNE, 0.0, tmp_path / "w.safetensors", [index_path], "out", JOB
        )


def test_a_fresh_model_has_the_seeds_weights_and_the_prior_of_the_labels(pretrained, handed):
    pretrained()
    torch.manual_seed(4)
    expected = Specification("logistic", SMALL["logistic"], MODALITIES, CLASS_IDS, 5).build()
    weights = handed["weights"]
    assert torch.equal(weights["classifier.weight"], expected.classifier.weight)
    # Of five videos a, c and e carry 3, a carries 8, b carries 20.
    prior = torch.sigmoid(weights["classifier.bias"])
    torch.testing.assert_close(prior, torch.tensor([3 / 5, 1 / 5, 1 / 5]))
    # What it would cost to answer these shares to everything.
    labels = torch.tensor([[1.0] * 3 + [0.0] * 2, [1.0] + [0.0] * 4, [1.0] + [0.0] * 4]).T
    cost = functional.binary_cross_entropy(prior.expand(5, 3), labels)
    assert handed["uninformed"] == pytest.approx(float(cost))
    assert handed["rows"].tolist() == [0, 1, 3, 4]  # c has no frames
    assert handed["plan"] == settings().plan(True, 1000, JOB)


class FirstTensor(TorchDispatchMode):
    """Notes whether memory for tensors had been prepared when the first one was made."""

    prepared = None

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if self.prepared is None:
            self.prepared = "THP_MEM_ALLOC_ENABLE" in os.environ
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("stage", ["pretrain", "m_step", "finetune"])
def test_memory_is_prepared_before_the_first_tensor_is_made(
    tmp_path, index_path, small_index, pretrained, monkeypatch, stage
):
    """PyTorch reads once, at its first tensor, whether large ones go into huge pages."""
    weights = pretrained()
    out = tmp_path / "out.safetensors"
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE")
    with FirstTensor() as first:
        if stage == "pretrain":
            classes = tmp_path / "classes.csv"
            stages.pretrain(settings(), "attention", [index_path], classes, out, JOB)
        elif stage == "finetune":
            stages.finetune(settings(), ALL_TUNE, 0.0, weights, [index_path], out, JOB)
        else:
            taken = maximisation.LabelOptions("label_corrected", "hard", False)
            chunk, label_set = label_files(tmp_path, small_index)
            maximisation.maximise(
                settings(), taken, [index_path], [chunk], label_set, None, out, JOB
            )
    assert first.prepared


def test_to_compile_without_a_compiler_is_refused_at_the_start(
    tmp_path, index_path, pretrained, monkeypatch
):
    weights, job = pretrained(), replace(JOB, compile=True)
    arguments = (settings(), ALL_TUNE, 0.0, weights, [index_path], tmp_path / "out", job)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    (tmp_path / "clang++").touch(0o755)  # PyTorch looks for that on macOS alone
    with pytest.raises(InputError, match=r"needs a C\+\+ compiler, and g\+\+ is not here"):
        stages.finetune(*arguments)
    (tmp_path / "mine").touch(0o755)
    monkeypatch.setenv("CXX", "mine")
    stages.finetune(*arguments)


def test_attention_has_two_outputs_a_class_while_it_trains_and_one_after(pretrained, handed):
    out = pretrained("attention")
    assert len(handed["weights"]["classifier.weight"]) == 2 * 3
    assert load_weights(out)[0].classifier.out_features == 3


@pytest.mark.parametrize("fraction", [ALL_TUNE, 0.3, 0.5, 0.7, None])
def test_fine_tuning_sees_no_video_of_validation(
    tmp_path, index_path, small_index, pretrained, handed, fraction
):
    ids = small_index.video_ids
    # Rated for these classes where there are frames, within the first 25: a and b.
    held_out = ids[in_validation(ids, fraction or ALL_TUNE)]
    expected = {"a", "b"} - set(held_out.tolist())
    assert expected, "all are for validation"
    out = tmp_path / "tuned.safetensors"
    stages.finetune(settings(), fraction, 0.0, pretrained(), [index_path], out, JOB)
    assert set(handed["clips"].reader.index.video_ids[handed["rows"]].tolist()) == expected


def test_some_of_these_shares_divide_the_rated_videos(small_index):
    held_out = {tuple(in_validation(np.array(["a", "b"]), f).tolist()) for f in (0.3, 0.5, 0.7)}
    assert held_out & {(True, False), (False, True)}


@pytest.mark.parametrize("context", [0, 1])
def test_unrated_segments_are_there_where_a_model_looks_at_its_neighbours(
    tmp_path, index_path, pretrained, handed, context
):
    weights = pretrained(options={"context": context})
    out = tmp_path / "tuned.safetensors"
    stages.finetune(settings(), ALL_TUNE, 0.0, weights, [index_path], out, JOB)
    assert handed["clips"].labelled_segments_only == (context == 0)
    assert handed["uninformed"] == math.log(2)  # ratings: half of them are positive


@pytest.mark.parametrize("negatives", [0.0, 0.5])
def test_unrated_classes_count_as_configured(tmp_path, index_path, pretrained, handed, negatives):
    """Video b carries 20; rated are 20 in segment 0, yes, and 3 in segment 1, no."""
    out = tmp_path / "tuned.safetensors"
    stages.finetune(settings(), ALL_TUNE, negatives, pretrained(), [index_path], out, JOB)
    logits = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    softplus = functional.softplus
    total = softplus(torch.tensor(-3.0)) + softplus(torch.tensor(4.0))
    total += negatives * softplus(torch.tensor([1.0, 2.0])).mean()
    total += negatives * softplus(torch.tensor(5.0))
    found = handed["objective"](logits, handed["clips"][np.array([1])])
    assert float(found) == pytest.approx(float(total / (2 + 2 * negatives)), rel=1e-5)


@pytest.mark.parametrize(
    ("soft", "agreement", "offset", "class_ids"),
    [
        (False, False, 0.0, CLASS_IDS),
        (True, False, 0.0, CLASS_IDS),
        (False, True, 0.0, CLASS_IDS),
        (False, False, -9.0, CLASS_IDS),
        (False, False, 0.0, [3, 8, 2**53 + 1]),  # which is no float64
    ],
)
def test_an_m_step_reads_its_labels_as_they_are_to_be_taken(
    tmp_path, index_path, small_index, handed, soft, agreement, offset, class_ids
):
    """A calibration with an offset of -9 leaves no label."""
    chunk, label_set = label_files(tmp_path, small_index, class_ids)
    taught = tmp_path / "m.safetensors"
    calibration = tmp_path / "calibration.json"
    calibration.write_text(f'{{"kind": "model", "slope": 1, "offset": {offset}, "offsets": {{}}}}')
    taken = maximisation.LabelOptions("label_corrected", "soft" if soft else "hard", agreement)
    maximisation.maximise(
        *(settings(), taken, [index_path], [chunk], label_set),
        *(calibration if offset else None, taught, JOB),
    )
    assert load_weights(taught)[1].class_ids == class_ids
    video, segment, column, value, weight = handed["clips"].source.entries(np.array([0, 1]))[:5]
    places = [(v, s, c) for v, s, c, y in zip(video, segment, column, value, strict=True) if y > 0]
    assert sorted(places) == ([] if offset else [(0, s, c) for s in range(3) for c in (0, 1)])
    if not offset:
        assert value[value > 0] == pytest.approx(0.6 if soft else 1.0, abs=1e-3)
        assert set(weight.tolist()) == {0.5 if agreement else 1.0}
    prior = torch.sigmoid(handed["weights"]["classifier.bias"])
    share = (1.8 if soft else 3) / 11
    torch.testing.assert_close(prior, torch.tensor([share, share, 1e-4]), atol=1e-5, rtol=1e-3)
