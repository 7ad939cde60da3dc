"""The benchmarks work at tiny sizes and write what docs/performance.md states; no time is judged.

The plain models that steps.py measures against are the same functions as ours.
"""

import json
import subprocess
import sys
from pathlib import Path

import child
import demo
import flops
import gpu
import jobs
import pandas as pd
import pytest
import scale
import synthetic
import table
import torch
import yaml
from expectations import KEYS, averaged, report
from plain_models import plain
from torch._dynamo.exc import TorchDynamoException
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from segment_em.models import build

ROOT = Path(__file__).parent.parent
FEATURES, CLASSES, SEGMENT_FRAMES = {"rgb": 12, "audio": 4}, 3, 5
NEXTVLAD = {"expansion": 2.0, "groups": 4, "clusters": 4, "hidden": 16, "gating_reduction": 4}
TRANSFORMER = {"layers": 2, "hidden": 16, "heads": 2, "feed_forward": 24}
MODELS = {
    "logistic": ("logistic", {"fusion": "early", "context": 0}),
    "nextvlad": (
        "nextvlad",
        NEXTVLAD | {"fusion": "late", "dropout": 0.0, "batch_norm_decay": 0.9, "context": 0},
    ),
    "bigru": ("bigru", {"fusion": "early", "layers": 2, "hidden": 6, "dropout": 0.0}),
    "transformer_early": (
        "transformer",
        TRANSFORMER | {"fusion": "early", "dropout": 0.0, "positions": "none"},
    ),
    "transformer_late": (
        "transformer",
        TRANSFORMER | {"fusion": "late", "dropout": 0.0, "positions": "none"},
    ),
}


@pytest.fixture(params=MODELS)
def pair(request):
    """One of our models and its plain version."""
    torch.manual_seed(1)
    architecture, options = MODELS[request.param]
    ours = build(architecture, FEATURES, CLASSES, SEGMENT_FRAMES, options)
    return ours, plain(ours)


def clips(frames):
    """Features of clips with these counts of frames, padded to the longest, and the mask."""
    mask_BT = torch.arange(max(frames)) < torch.tensor(frames)[:, None]
    features = {
        name: torch.randn(len(frames), max(frames), width) * mask_BT.unsqueeze(2)
        for name, width in FEATURES.items()
    }
    return features, mask_BT


@pytest.mark.parametrize("training", [False, True])
def test_the_plain_models_give_the_scores_of_ours(pair, training):
    features, mask_BT = clips([15, 15, 15])
    ours, theirs = (model.train(training)(features, mask_BT) for model in pair)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_plain_models_give_the_scores_of_ours_for_the_real_segments_of_padded_clips(pair):
    features, mask_BT = clips([15, 8, 10])
    ours, theirs = (model.eval()(features, mask_BT) for model in pair)
    real_BS = mask_BT.unflatten(1, (-1, SEGMENT_FRAMES)).any(dim=2)
    torch.testing.assert_close(ours[real_BS], theirs[real_BS], rtol=1e-4, atol=1e-5)


def test_the_plain_models_give_the_gradients_of_ours(pair):
    features, mask_BT = clips([15, 15, 15])
    for model in pair:
        model.train()(features, mask_BT).square().mean().backward()
    ours, theirs = (model.classifier.weight.grad for model in pair)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module", params=["reader", "batches", "steps", "estep", "metric", "page"])
def written(request, tmp_path_factory):
    """What a benchmark wrote at its tiny size."""
    out = tmp_path_factory.mktemp("benchmarks")
    command = [sys.executable, f"benchmarks/{request.param}.py", "--quick", "--out", out]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((out / f"{request.param}.json").read_text())


@pytest.mark.docs
def test_a_benchmark_writes_figures_and_where_they_come_from(written):
    assert written["quick"] is True
    assert written["sizes"]
    assert {"cpu", "cores", "gpu"} <= written["machine"].keys()
    assert {"git_commit", "git_clean", "versions", "started", "command"} <= written.keys()
    assert written["rows"]


@pytest.mark.docs
def test_each_row_has_a_figure_or_the_reason_why_not(written):
    for row in written["rows"]:
        assert row["figure"] is not None or row["why"]
        assert row["met"] in (True, False, None)


@pytest.mark.docs
def test_each_ratio_is_the_median_of_at_least_five_pairs(written):
    for row in written["rows"]:
        if row["ratio"] is not None:
            assert len(row["ratios"]) >= 5
            assert sorted(row["ratios"])[len(row["ratios"]) // 2] == row["ratio"]


@pytest.mark.docs
def test_every_kind_of_job_runs_as_the_memory_benchmark_calls_it(tmp_path):
    synthetic.write_videos(tmp_path / "videos.tfrecord", synthetic.frame_counts(4, 126))
    jobs.write_classes(tmp_path)
    costs = {
        name: child.cost_of(command, tmp_path / "log")
        for name, command in jobs.commands(tmp_path).items()
    }
    assert all(cost.peak_bytes > cost.own_bytes > 0 for cost in costs.values())
    assert len((tmp_path / "localisations.csv").read_text().splitlines()) > 1


@pytest.mark.parametrize("name", MODELS)
def test_the_operations_of_a_forward_pass_are_those_that_pytorch_counts(name):
    architecture, options = MODELS[name]
    model = build(architecture, FEATURES, CLASSES, SEGMENT_FRAMES, options).eval()
    features, mask_BT = clips([300, 300])
    # The counter knows no fused attention of the CPU.
    unfused = sdpa_kernel(SDPBackend.MATH)
    with FlopCounterMode(display=False) as counter, unfused, torch.no_grad():
        model(features, mask_BT)
    expected = counter.get_total_flops() / 2
    assert flops.forward(architecture, options, FEATURES, CLASSES, 300) == pytest.approx(expected)


@pytest.mark.parametrize("name", MODELS)
def test_the_operations_of_a_step_are_those_that_pytorch_counts(name):
    architecture, options = MODELS[name]
    model = build(architecture, FEATURES, CLASSES, SEGMENT_FRAMES, options)
    features, mask_BT = clips([300, 300])
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model(features, mask_BT).sum().backward()
    expected = counter.get_total_flops() / 2
    assert flops.step(architecture, options, FEATURES, CLASSES, 300) == pytest.approx(expected)


@pytest.fixture
def uncompiled(monkeypatch):
    """Without the compiler, which takes a minute and is PyTorch's."""
    monkeypatch.setattr(torch, "compile", lambda model, dynamic: model)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("name", gpu.VIDEOS)
def test_the_gpu_benchmark_measures_on_any_device(name):
    rows = list(gpu.rows(name, torch.device("cpu"), "NVIDIA H100 80GB HBM3", quick=True))
    assert {row.what for row in rows} == {row.what for row in gpu.unmeasured(name, "")}
    assert all(row.figure > 0 for row in rows)


@pytest.mark.usefixtures("uncompiled")
def test_no_share_of_a_peak_is_stated_for_a_device_whose_peak_is_not_known():
    share, *_ = gpu.rows("nextvlad", torch.device("cpu"), "a device of tomorrow", quick=True)
    assert share.figure is None
    assert "a device of tomorrow" in share.why


def test_where_nothing_can_be_compiled_the_other_figures_stand_and_say_why(monkeypatch):
    def compiled(model, dynamic):
        def forward(*_):
            raise TorchDynamoException("no C compiler\nand a trace")

        model.forward = forward
        return model

    monkeypatch.setattr(torch, "compile", compiled)
    rows = list(gpu.rows("nextvlad", torch.device("cpu"), "NVIDIA H100 80GB HBM3", quick=True))
    told = {row.what: row.why or row.figure for row in rows}
    assert told.pop("nextvlad, training with torch.compile") == "torch.compile: no C compiler"
    assert told.pop("nextvlad, share of the GPU's peak with torch.compile").endswith("compiler")
    assert len(told) == 3
    assert all(figure > 0 for figure in told.values())


@pytest.mark.docs
def test_the_table_has_a_line_for_each_figure_and_names_its_commit(written):
    lines = table.table([written]).splitlines()
    assert sum(line.startswith("| ") for line in lines) == 1 + len(written["rows"])
    assert str(written["git_commit"])[:8] in lines[-1]


def test_seconds_inside_are_the_sum_over_the_logs(tmp_path):
    (tmp_path / "a.log").write_text("epoch 1 of 1\ntrained: 2.5 s\n")
    (tmp_path / "b.log").write_text("scored 12 videos: 1.0 s\nranked: 0.5 s\nwrote in 9 s\n")
    assert demo.seconds_inside(tmp_path) == 4.0


def test_the_full_size_plan_counts_what_is_fine_tuned_on_all_ratings():
    config = yaml.safe_load((ROOT / "configs/yt8m.yaml").read_text())
    assert not any(stage.name.startswith("refit") for stage in scale.stages(config))
    config["ensemble"]["refit"] = True
    (refit,) = (stage for stage in scale.stages(config) if stage.name.startswith("refit"))
    # 237,788 ratings, five a video; four members and four controls, five epochs.
    assert refit.videos == pytest.approx(8 * 5 * scale.RATINGS / scale.RATINGS_A_VIDEO)
    assert refit.jobs == 8


def test_the_full_size_plan_reads_every_training_video_in_each_pass():
    config = yaml.safe_load((ROOT / "configs/yt8m.yaml").read_text())
    stages = {stage.name.split(":")[0]: stage for stage in scale.stages(config)}
    train = 3_888_919
    assert stages["M-step 2"].videos == pytest.approx(4 * 5 * train)
    assert stages["E-step 1, by logistic"].videos == pytest.approx(train)
    assert scale.hours(stages["M-step 2"], 8, 1e15) == scale.hours(stages["M-step 2"], 4, 1e15)


# A table of one seed by hand: kind, iteration, model, estimation, stage, test mAP.
ROWS = [
    ("member", 0, "logistic", "video_labels", "pretrained", 0.70),
    ("member", 0, "logistic", "video_labels", "finetuned", 0.75),
    ("member", 1, "bigru", "video_prior", "finetuned", 0.80),
    ("teacher", 1, "mean", None, None, 0.80),
    ("member", 2, "bigru", "video_prior", "finetuned", 0.79),
    ("teacher", 2, "mean", None, None, 0.805),
    ("ensemble", 2, "mean", None, None, 0.81),
    ("control", None, "bigru", "video_labels", "finetuned", 0.77),
    ("control_ensemble", None, "mean", None, None, 0.76),
]


def seed_table(path, added):
    """The table above as a run writes it, `added` to the scores of iteration 2."""
    rows = [
        (*key, key[1], score + added * (key[1] == 2), int(score == 0.75)) for *key, score in ROWS
    ]
    columns = [*KEYS, "validation_map", "test_map", "selected"]
    pd.DataFrame(rows, columns=columns).astype({"iteration": "Int64"}).to_csv(path, index=False)
    return pd.read_csv(path)


def test_seeds_are_averaged_row_by_row_and_held_against_what_is_expected(tmp_path, capsys):
    tables = [seed_table(tmp_path / "table.csv", added) for added in (0.0, 0.04)]
    means = averaged(tables)
    assert means["test_map_mean"].tolist() == pytest.approx(
        [0.70, 0.75, 0.80, 0.80, 0.81, 0.825, 0.83, 0.77, 0.76]
    )
    assert means["test_map_std"].tolist()[:5] == pytest.approx([0, 0, 0, 0, 0.04 / 2**0.5])
    means.to_csv(tmp_path / "seeds.csv", index=False)
    *_, control, _ = (tmp_path / "seeds.csv").read_text().splitlines()
    assert control.startswith("control,,bigru,video_labels,finetuned,")
    report(tables)
    assert capsys.readouterr().out.splitlines() == [
        "yes  best of iteration 1 above iteration 0: +0.050 (at least +0.000)",
        "yes  best of iteration 2 above iteration 1: +0.010 (at least +0.000)",
        "yes  teacher 1 above the one before: +0.050 (at least +0.000)",
        "yes  teacher 2 above the one before: +0.025 (at least +0.000)",
        "yes  ensemble at least its best member: +0.020 (at least +0.000)",
        "yes  ensemble above logistic on video labels: +0.130 (at least +0.088)",
        "yes  ensemble above the controls' ensemble: +0.070 (at least +0.000)",
        "yes  bigru@video_prior above its control: +0.040 (at least +0.000)",
    ]
    report(tables[:1])
    assert " NO  best of iteration 2 above iteration 1: -0.010" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seeds_added", "arguments", "status"),
    [
        ([0.0], [], 0),
        ([0.0], ["--strict"], 1),  # iteration 2 is .01 below iteration 1
        ([0.0, 0.04], ["--strict"], 0),  # and .01 above it in the mean
    ],
)
def test_an_expectation_that_is_not_met_fails_where_that_is_asked_for(
    tmp_path, seeds_added, arguments, status
):
    paths = [tmp_path / f"{added}.csv" for added in seeds_added]
    for path, added in zip(paths, seeds_added, strict=True):
        seed_table(path, added)
    command = [sys.executable, ROOT / "benchmarks/expectations.py", *arguments, *paths]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    assert (" NO  " in done.stdout) == (len(paths) == 1)
