"""Result files of a small experiment that never ran, for the report: names and numbers made up.

Ids, class names and the title hold what HTML, JSON and SVG have to escape.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from small_records import FEATURES
from test_truth import write_truth

from segment_em import (
    figures,
    localisation_quality,
    ratings_table,
    report,
    report_tables,
    timeline,
)
from segment_em.index_files import write_index
from segment_em.indexing import build_index
from segment_em.prediction_files import write_predictions
from segment_em.records import Ratings, encode_example, write_records

HOSTILE = "</script><script>window.broken=1</script>\"'&$<b>ü"
CLASS_IDS = np.array([3, 5, 8, 13, 21])
NAMES = {3: "Guitar", 5: HOSTILE, 8: "NA", 13: "Straße, nachts", 21: ""}
MEMBERS = [
    ["logistic"],
    ["early@video_prior", "late@label_corrected"],
    ["early@video_prior", "late@label_corrected"],
]
CONTROLS = ["early", "late"]
EMPTY = "validation-05"  # a video without frames
ODD = "validation 50% #1?&ü"  # what an address has to escape, and a file may be called
TEACHERS = {"members": ["F0", "T1", "T2"], "best": ["F0", "F1", "F2"]}
SCORERS = [*TEACHERS["members"], "ensemble"]
PROCESS = report_tables.Process(MEMBERS, CONTROLS, TEACHERS["members"])
RUNS = [f"em/iteration-{i}/{member}" for i in range(3) for member in MEMBERS[i]]
RUNS += [f"controls/{model}" for model in CONTROLS]
COUNTS = {"test": 60, "validation": 12}
SHOWN = {"test": 59, "validation": 12}  # the last test video is left out


class Size(NamedTuple):
    """videos, shown: by part; the first so many are shown. frames: of a video, from and below.
    ratings: in each table of ratings."""

    class_ids: np.ndarray
    videos: dict[str, int]
    shown: dict[str, int]
    frames: tuple[int, int]
    ratings: int


# As many videos as a page shows unless it is told otherwise, as long as those of YouTube-8M.
MANY = {"test": 1500, "validation": 500}


def large(classes):
    """The size of a page with the most videos."""
    return Size(np.arange(classes), MANY, MANY, (160, 301), 50 * classes)


SMALL = Size(CLASS_IDS, COUNTS, SHOWN, (6, 58), 100)
PAGE = report.Page(HOSTILE, "https://example.org/{id}", None, 3, 0.5, 1.0)


def mean_of_defined(ap):
    return float(np.mean([value for value in ap.values() if value is not None]))


# One video of one frame in each part, and one class.
LEAST = Size(CLASS_IDS[:1], {"test": 1, "validation": 1}, {"test": 1, "validation": 1}, (1, 2), 3)


class SmallReport:
    """Everything that the page is made from, under results/small of the working directory."""

    def __init__(self, page=PAGE, rated=True, size=SMALL, without_positives=(), teacher="members"):
        """rated: whether the test set is. without_positives: ids of classes that have no AP.

        teacher: em.teacher.
        """
        self.process = report_tables.Process(MEMBERS, CONTROLS, TEACHERS[teacher])
        self.scorers = [*TEACHERS[teacher], "ensemble"]
        self.means = [
            f"em/iteration-{name[1:]}/ensemble" for name in TEACHERS[teacher] if name[0] == "T"
        ]
        self.without_positives = [str(number) for number in without_positives]
        self.folder, self.page, self.rated = Path("results/small"), page, rated
        self.size, self.class_ids = size, size.class_ids
        self.random = np.random.default_rng(0)
        self.frames, self.index, self.truth, self.scores = {}, {}, {}, {}
        self.train = []  # index chunks, of which the page tells what they skipped
        for part in size.videos:
            self._videos(part)
        self.results = self._results()
        self.figures = self._figures()

    def write(self, page=None, name="report.html"):
        """Write the page; returns its path. page: other settings than those of the results."""
        sources = report.Sources(
            self.results,
            self.figures,
            [self.index["test"]],
            [self.index["validation"]],
            self.train,
            [self.scores[s, part] for s in self.scorers for part in self.size.videos],
            list(self.truth.values()),
        )
        report.write_report(sources, self.process, page or self.page, self.folder / name)
        return (self.folder / name).resolve()

    def _videos(self, part):
        """Records, their index, the truth and each scorer's scores."""
        names = [f"{part}-{n:02d}" for n in range(self.size.videos[part])]
        names[0] = part + HOSTILE
        if part == "validation":
            names[-1] = ODD
        payloads, truth, frames = [], {}, []
        for name in names:
            length = 0 if name == EMPTY else int(self.random.integers(*self.size.frames))
            start = 5 * self.random.integers(0, max(1, -(-length // 5)), 4)
            rated = self.random.choice(self.class_ids, 4)
            ratings = Ratings(start, rated, self.random.integers(0, 2, 4).astype(np.float32))
            count = min(2, len(self.class_ids)) * (part != "test")
            labels = self.random.choice(self.class_ids, count, replace=False)
            arrays = {key: np.zeros((length, width), np.uint8) for key, width in FEATURES.items()}
            payloads.append(encode_example(name, np.array(labels, np.int64), arrays, ratings))
            truth[name] = (length, [(int(rated[0]), 0, length // 2 + 1)] if length else [])
            frames.append(length)
        records = self.folder / f"{part}.tfrecord"
        records.parent.mkdir(parents=True, exist_ok=True)
        write_records(records, payloads)
        self.index[part] = str(self.folder / f"{part}-index.h5")
        write_index(self.index[part], build_index([records], FEATURES, 5), {})
        split = {"test": "test", "validation": "segments"}[part]
        self.truth[part] = str(write_truth(self.folder / f"{split}.npz", truth))
        for scorer in self.scorers:
            path = self.folder / f"report/scores/{scorer}/{part}.h5"
            counts = np.array(frames[: self.size.shown[part]])
            shown = np.array(names[: self.size.shown[part]])
            scores = (self._scores(-(-count // 5)) for count in counts)
            write_predictions(path, scores, shown, counts, self.class_ids, 5, {})
            self.scores[scorer, part] = str(path)

    def _scores(self, segments):
        shape = (segments, len(self.class_ids))
        return self.random.random(shape, np.float32) ** 2

    def _json(self, name, value):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
        return str(path)

    def _how(self, name, script, second):
        stamp = {"code": {f"{script}.py": "0"}, "epoch_losses": [0.9, 0.5, 0.4]}
        now = {
            "started": f"2026-01-01T00:00:{second:02d}.000+00:00",
            "seconds": 1.5,
            "host": "one",
            "gpus": [],
            "git_commit": None,
            "git_clean": False,
            "python": "3.11",
            "versions": {"numpy": "2"},
        }
        return self._json(name, {"stamp": stamp, "circumstances": now})

    def _scored(self, run, stages):
        """validation.json, test.json and their .ratings.csv of a run."""
        made, columns = [], [str(number) for number in self.class_ids]
        for part in ("validation", "test"):
            aps = {
                stage: dict(zip(columns, self.random.random(len(columns)).tolist(), strict=True))
                for stage in stages
            }
            for ap in aps.values():
                ap |= dict.fromkeys(self.without_positives)
            results = {
                stage: {"map": mean_of_defined(ap), "map_sd": 0.01, "ap": ap}
                for stage, ap in aps.items()
            }
            if part == "test" and not self.rated:
                none = {"map": None, "map_sd": None, "ap": dict.fromkeys(columns)}
                results = dict.fromkeys(stages, none)
            made.append(self._json(f"{run}/{part}.json", {"results": results}))
            made.append(str(Path(made[-1]).with_suffix(".ratings.csv")))
            self._write_ratings(made[-1], stages)
        return made

    def _write_ratings(self, path, stages):
        rated = self.size.ratings
        # The first class has the most by far: more than it opens to.
        column = (len(self.class_ids) * (np.arange(rated) / rated) ** 2).astype(int)
        # Not of the first video, whose name is another.
        turn, number = np.divmod(np.arange(rated), max(1, self.size.shown["test"] - 1))
        names = np.array([f"test-{n + 1:02d}" for n in number])
        table = ratings_table.RatingScores(
            names,
            5 * turn,
            self.class_ids[column],
            np.arange(rated) % 3 > 0,
            {stage: self.random.random(rated) for stage in stages},
            {stage: self.random.permutation(rated) for stage in stages},
        )
        ratings_table.write(path, table)

    def _results(self):
        files = []
        for run in RUNS:
            files += self._scored(run, ["pretrained", "finetuned"])
        for run in (*self.means, "ensemble", "controls/ensemble"):
            files += self._scored(run, ["ensemble"])
        for i, run in enumerate([RUNS[0], RUNS[1], RUNS[1]]):
            chosen = {"weights": f"results/small/{run}/finetuned.safetensors"}
            selected = {"selected": chosen, "by": "validation_weighted_map"}
            files.append(self._json(f"em/iteration-{i}/selected.json", selected))
        return [*files, *self._label_sets(), self._quality(), self._table()]

    def _quality(self):
        """Of the videos that the page shows, as if they were all."""
        table = localisation_quality.judge(
            [self.scores["ensemble", "test"]], self.truth["test"], max_frames=10_000
        )
        table.to_csv(self.folder / "localisation_quality.csv", index=False)
        return str(self.folder / "localisation_quality.csv")

    def _label_sets(self):
        made, count = [], len(self.class_ids)
        classes = {"class": self.class_ids}
        for i in (1, 2):
            rows = []
            for number, estimation in enumerate(("video_prior", "label_corrected")):
                kept = {"videos": np.resize([9, 8, 7, 3, 0], count)}
                kept |= {"videos_with_positive": np.resize([8, 6, 5, 0, 0], count)}
                made.append(str(self.folder / f"em/iteration-{i}/label_sets/{estimation}.csv"))
                Path(made[-1]).parent.mkdir(parents=True, exist_ok=True)
                pd.DataFrame(classes | kept).to_csv(made[-1], index=False)
                positives = np.resize([30, 20, 10, 4, 0], count) + number
                counts = {"positives": positives, "agreed": positives - number}
                counts |= {"any": positives - number + 1, "correct": positives // 2, "true": 25}
                rows.append(pd.DataFrame(classes | {"estimation": estimation} | counts))
            made.append(str(self.folder / f"em/iteration-{i}/inspection.csv"))
            pd.concat(rows).to_csv(made[-1], index=False)
        return made

    def _table(self):
        rows = []
        for run in RUNS:
            model, _, estimation = run.rpartition("/")[2].partition("@")
            kind = "control" if run.startswith("controls") else "member"
            iteration = run.split("-")[1][0] if kind == "member" else ""
            for stage in ("pretrained", "finetuned"):
                chosen = stage == "finetuned" and run in RUNS[:2]
                learned = estimation or "video_labels"
                rows.append((kind, iteration, model, learned, stage, 0.6, 0.01, 0.5, int(chosen)))
        rows += [
            ("teacher", run.split("-")[1][0], "mean", "", "", 0.66, 0.01, 0.62, 0)
            for run in self.means
        ]
        rows.append(("ensemble", 2, "mean", "", "", 0.7, 0.01, 0.65, 0))
        rows.append(("control_ensemble", "", "mean", "", "", 0.68, 0.01, 0.6321, 0))
        columns = ["kind", "iteration", "model", "estimation", "stage"]
        columns += ["validation_map", "validation_map_sd", "test_map", "selected"]
        table = pd.DataFrame(rows, columns=columns)
        if not self.rated:
            table["test_map"] = None
        table.to_csv(self.folder / "table.csv", index=False)
        self._how("table.json", "tabulate_results", 59)
        return str(self.folder / "table.csv")

    def _figures(self):
        stages = [(run, stage) for run in RUNS for stage in ("pretrained", "finetuned")]
        told = [
            self._how(f"{run}/{stage}.json", stage.removesuffix("ned"), 2 * n)
            for n, (run, stage) in enumerate(stages)
        ]
        tables = report_tables.every_table(
            report_tables.Results([*self.results, *told]), self.process, NAMES
        )
        jobs = timeline.timeline(told)
        names = figures.write_all(*tables, *jobs, self.folder / "figures")
        files = [f"{name}.{ending}" for name in names for ending in ("svg", "csv")]
        return [str(self.folder / "figures" / file) for file in files if file != "devices.svg"]
