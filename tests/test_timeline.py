"""The timeline of a run, from circumstances written by hand."""

import json
import re

import pytest

from segment_em import figures
from segment_em.timeline import timeline


def tell(folder, name, script, started, seconds, host="one", gpus=(), process=1):
    path = folder / "results/demo" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    now = {"started": f"2026-01-01T{started}+00:00", "seconds": seconds, "host": host}
    now["process"] = process
    stamp = {"code": {f"{script}.py": "0", "segment_em/files.py": "0"}}
    path.write_text(json.dumps({"stamp": stamp, "circumstances": now | {"gpus": list(gpus)}}))
    return path


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def told(*entries):
        return [tell(tmp_path, *entry).relative_to(tmp_path) for entry in entries]

    return told


def test_jobs_side_by_side_lie_in_lanes_and_the_busy_share_counts_time_once(jobs):
    found, devices = timeline(
        jobs(
            ("a", "pretrain", "00:00:00.000", 10),
            ("b", "estimate", "00:00:05.000", 10),
            ("c", "figures", "00:00:18.000", 2),
        )
    )
    assert found["job"].tolist() == ["pretrain a", "estimate b", "figures c"]
    assert found["stage"].tolist() == ["training", "E-step", "other"]
    assert found[["start", "end"]].values.tolist() == [[0, 10], [5, 15], [18, 20]]
    assert found["lane"].tolist() == [0, 1, 0]
    assert devices.values.tolist() == [["one cpu", 3, 17 / 20, 22 / 20]]


def test_a_job_with_several_gpus_holds_each_of_them(jobs):
    found, devices = timeline(
        jobs(
            ("a", "finetune", "00:00:00.000", 10, "one", "01"),
            ("b", "finetune", "00:00:10.000", 10, "one", "1"),
        )
    )
    assert devices["device"].tolist() == ["one gpu 0", "one gpu 1"]
    assert devices["busy"].tolist() == [0.5, 1.0]
    assert len(found) == 3


def test_two_jobs_of_one_script_that_start_together_are_two_bars(jobs):
    together = ("replay", "00:00:00.000", 4, "one", ())
    found, devices = timeline(jobs(("F1", *together, 1), ("F2", *together, 2)))
    assert found["job"].tolist() == ["replay F1", "replay F2"]
    assert devices["at_once"].tolist() == [2.0]


def test_several_results_of_one_job_are_one_bar_up_to_the_last(jobs):
    found, _ = timeline(
        jobs(("a.ratings", "evaluate", "00:00:00.000", 4), ("a", "evaluate", "00:00:00.000", 5))
    )
    assert found[["start", "end"]].values.tolist() == [[0, 5]]


def test_a_pause_between_two_runs_is_cut_out_and_marked(jobs):
    found, devices = timeline(
        jobs(("a", "pretrain", "00:00:00.000", 10), ("b", "pretrain", "02:00:00.000", 10))
    )
    assert found[["start", "end"]].values.tolist() == [[0, 10], [10, 20]]
    assert found["paused"].tolist() == [0, 7190]
    assert devices["busy"].tolist() == [1.0]


def test_on_a_cluster_a_row_is_a_stage(jobs, tmp_path):
    nodes = 50
    found, devices = timeline(
        jobs(
            *((f"{n:03d}", "estimate", "00:00:00.000", 10, f"node{n}") for n in range(nodes)),
            ("a", "pretrain", "00:00:10.000", 10),
        )
    )
    figures.timeline(found, devices, tmp_path / "timeline.svg")
    drawn = (tmp_path / "timeline.svg").read_text()
    assert "50 jobs" in drawn
    assert "node7" not in drawn
    assert float(re.search(r'height="([\d.]+)pt"', drawn)[1]) < 300
