"""The report of a finished run: its numbers against the truth, its strips against the files."""

import io
import json
import re
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
import yaml
from browser import chromium, needs_browser
from PIL import Image
from workflow_runs import TINY, snakemake

from segment_em.class_lists import read_class_list
from segment_em.labels import read_chunk
from segment_em.prediction_files import read_predictions

pytestmark = pytest.mark.slow

THRESHOLD = yaml.safe_load(TINY.read_text())["localisation"]["threshold"]

FIGURES = [
    *("map_by_iteration", "positives_by_class", "videos_with_positive", "agreement"),
    *("against_truth", "training_curves", "ap_by_class", "localisation_quality", "timeline"),
]


@pytest.fixture(scope="module")
def results(tiny_run):
    return tiny_run / "results/tiny"


@pytest.fixture(scope="module")
def text(results):
    return (results / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser():
    with chromium() as page:
        yield page


def true_segments(tiny_run, class_ids):
    """{video: {(segment, column)}} of the train split, frame by frame from the simulator's file."""
    with np.load(tiny_run / "results/data/tiny/truth/train.npz") as file:
        truth = dict(file)
    found = {}
    for row, name in enumerate(truth["video_ids"].tolist()):
        frames = min(60, int(truth["frames"][row]))
        shown = np.zeros((frames, len(class_ids)), bool)
        for entry in range(truth["indptr"][row], truth["indptr"][row + 1]):
            if truth["class_id"][entry] in class_ids:
                column = class_ids.index(truth["class_id"][entry])
                shown[truth["start_frame"][entry] : truth["end_frame"][entry], column] = True
        found[name] = {
            (segment, column)
            for segment in range(-(-frames // 5))
            for column in range(len(class_ids))
            if shown[5 * segment : 5 * segment + 5, column].mean() >= 0.5
        }
    return found


def estimated_segments(results, i, estimation):
    """{video: {(segment, column)}} that an E-step labelled, entry by entry."""
    table = pd.read_csv(results / f"em/iteration-{i}/label_sets/{estimation}.csv")
    found = {}
    for path in sorted((results / f"em/iteration-{i}/pseudo_labels").glob("*.h5")):
        chunk = read_chunk(path)
        for row, name in enumerate(chunk.video_ids.tolist()):
            kept = found.setdefault(name, set())
            for segment in range(chunk.video_indptr[row], chunk.video_indptr[row + 1]):
                for entry in range(chunk.scores.indptr[segment], chunk.scores.indptr[segment + 1]):
                    column = int(chunk.scores.indices[entry])
                    carried = chunk.scores.in_video_labels[entry]
                    limit = table["threshold" if carried else "threshold_others"][column]
                    above = np.float32(chunk.scores.scores[entry]) > limit
                    if above and (carried or estimation == "label_corrected"):
                        kept.add((segment - int(chunk.video_indptr[row]), column))
    return found


def test_precision_and_recall_on_the_page_are_those_of_the_simulators_truth(
    tiny_run, results, text
):
    class_ids = sorted(read_class_list(tiny_run / "results/data/tiny/segment_label_ids.csv"))
    truth = true_segments(tiny_run, class_ids)
    total = sum(map(len, truth.values()))
    expected = []
    for i in (1, 2):
        for estimation in ("video_prior", "label_corrected"):
            labels = estimated_segments(results, i, estimation)
            right = sum(len(labels[name] & truth[name]) for name in truth)
            expected.append([right / sum(map(len, labels.values())), right / total])
    shown = [re.findall(rf'data-{measure}="([\d.]+)"', text) for measure in ("precision", "recall")]
    np.testing.assert_allclose(np.array(shown, float).T, expected, rtol=1e-9)
    printed = re.findall(r'data-(?:precision|recall)="[\d.]+">([\d.]+) %', text)
    assert printed == [f"{100 * value:.1f}" for pair in expected for value in pair]


def test_every_figure_is_a_file_with_the_table_behind_it(results, text):
    for name in FIGURES:
        assert f'id="figure-{name}"' in text
        assert (results / f"figures/{name}.svg").stat().st_size > 1000
        assert len(pd.read_csv(results / f"figures/{name}.csv"))


def test_the_timeline_tells_of_every_job_that_left_a_benchmark(tiny_run, results):
    benchmarks = [
        path
        for folder in (results, tiny_run / "results/index/tiny", tiny_run / "results/data/tiny")
        for path in folder.rglob("*.benchmark.tsv")
        if path.name not in ("figures.benchmark.tsv", "report.benchmark.tsv")
    ]
    jobs = pd.read_csv(results / "figures/timeline.csv")
    assert len(jobs) == len(benchmarks)
    measured = sum(pd.read_csv(path, sep="\t")["s"].item() for path in benchmarks)
    # A benchmark includes the start of Python; the job tells from its first line of ours.
    assert 0.5 * measured < (jobs["end"] - jobs["start"]).sum() <= measured
    devices = pd.read_csv(results / "figures/devices.csv")
    assert devices["busy"].between(0, 1).all()


def test_figures_of_a_second_drawing_are_the_same_bytes(tiny_run, results, tmp_path):
    before = {name: (results / f"figures/{name}.svg").read_bytes() for name in FIGURES}
    target = "results/tiny/figures/agreement.svg"
    again = shutil.copytree(tiny_run, tmp_path / "again")
    done = snakemake(again, "--force", "--", target)
    assert done.returncode == 0, done.stdout[-3000:]
    for name in FIGURES:
        made = again / f"results/tiny/figures/{name}.svg"
        assert made.read_bytes() == before[name], name


def test_snakemakes_own_report_holds_every_figure_with_its_caption(tiny_run, tmp_path):
    done = snakemake(tiny_run, "--report", str(tmp_path / "report.zip"))
    assert done.returncode == 0, done.stdout[-3000:]
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        names = archive.namelist()
        told = b"".join(archive.read(name) for name in names if name.endswith((".js", ".html")))
    for name in (*(f"{figure}.svg" for figure in FIGURES), "report.html"):
        assert any(entry.endswith(f"/{name}") for entry in names), name
    assert b"Precision and recall of the estimated labels" in told


@needs_browser
def test_the_viewer_shows_the_predictions_of_the_run(browser, results):
    page = browser.open(results / "report.html")
    assert page.errors() == []
    chunks = [read_predictions(path) for path in sorted((results / "predictions").glob("*.h5"))]
    rows = {name: (chunk, row) for chunk in chunks for row, name in enumerate(chunk.video_ids)}
    page.run(
        "const p = document.getElementById('video-part'); p.value = 'test';"
        "p.dispatchEvent(new Event('change'))"
    )
    for _ in range(5):
        page.one("#video-list").send_keys("j")
        chunk, row = rows[page.one("#video").get_attribute("data-video")]
        first, stop = chunk.video_indptr[row : row + 2]
        strips = page.run(
            "return [...document.querySelectorAll('.strip')].map(s => [Number(s.dataset.class),"
            "[...s.querySelectorAll('.bars rect')].map(r => Number(r.dataset.byte))])"
        )
        for class_id, found in strips:
            column = chunk.class_ids.tolist().index(class_id)
            found, expected = np.array(found), 255 * chunk.scores[first:stop, column]
            # Next to the threshold a byte is on the score's side of it, else the nearest one.
            near = np.abs(expected - 255 * THRESHOLD) < 1
            np.testing.assert_array_equal(found >= 255 * THRESHOLD, expected >= 255 * THRESHOLD)
            np.testing.assert_allclose(found[~near], expected[~near], atol=0.51)
            np.testing.assert_allclose(found, expected, atol=1)


@needs_browser
@pytest.mark.parametrize("width", [1400, 400])
def test_a_picture_of_the_report_is_neither_cut_nor_empty(browser, results, width):
    page = browser.open(results / "report.html", width)
    assert page.run("return document.documentElement.scrollWidth <= window.innerWidth")
    image = np.asarray(Image.open(io.BytesIO(page.picture())).convert("L"))
    assert image.shape[1] == width
    assert (image < 128).mean() > 0.01
    assert (image[:, -4:] > 200).all()
    assert len(json.loads(page.run("return document.getElementById('data').textContent")))
