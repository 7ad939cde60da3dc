"""The report's figures: SVG files, the same bytes for the same tables.

Colours can be told apart by people who are colour-blind (Okabe and Ito 2008), and each line has a
mark of its own beside its colour. Text stays text, so that pages can restyle and readers find it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segment_em.files import replacing
from segment_em.tables import write_table

BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE = (
    "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7",
)  # fmt: skip
CYCLE = [BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY]
MARKS = ["o", "s", "^", "D", "v", "P"]
INK, MUTED, GRID = "#1f2933", "#66727f", "#e3e7eb"
WIDTH = 4.7  # inches: a figure is a card of the page, half its width or all of a phone's
SHOWN_CLASSES = 40

STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # names of classes may hold a dollar sign
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
}


@contextmanager
def _figure(path: str | Path, height: float) -> Iterator[Figure]:
    """A figure that is written to `path` when the block ends."""
    path = Path(path)
    # The salt makes the ids in the file, which would else be random, and keeps those of two
    # figures on one page apart.
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": path.stem}):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        yield figure
        with replacing(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})


def _name_axes(axes: Axes, x: str, y: str) -> None:
    """The y axis is named above its end, where it is read without turning one's head."""
    axes.set_xlabel(x)
    axes.set_title(y, loc="left", fontsize=9, color=MUTED, pad=8)


def _legend(figure: Figure, axes: Axes, columns: int) -> None:
    """In as many columns, up to these, as leave room for the names, which are the user's own."""
    handles, labels = axes.get_legend_handles_labels()
    for count in range(columns, 0, -1) if handles else ():
        legend = figure.legend(handles, labels, loc="outside lower left", ncols=count)
        if count == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


def _nothing(figure: Figure, why: str) -> None:
    axes = figure.subplots()
    axes.axis("off")
    axes.text(0.5, 0.5, why, ha="center", va="center", color=MUTED)


def named(estimation: str) -> str:
    """video_prior -> video prior."""
    return estimation.replace("_", " ")


def map_by_iteration(table: pd.DataFrame, path: str | Path) -> None:
    """table: report_tables.map_by_iteration."""
    part = "test_map" if table["test_map"].notna().any() else "validation_map"
    with _figure(path, 4.3) as figure:
        axes = figure.subplots()
        members = table[table["kind"] == "member"]
        for number, (model, rows) in enumerate(members.groupby("model", sort=False)):
            axes.plot(
                rows["iteration"], rows[part],
                linestyle="none", marker=MARKS[number % 6], color=CYCLE[number % 6], label=model,
            )  # fmt: skip
        chosen = table[table["kind"] == "F"]
        axes.plot(chosen["iteration"], chosen[part], color=INK, linewidth=1.4, label="selected (F)")
        taught = table[table["kind"] == "teacher"]
        if len(taught):
            line = pd.concat([chosen[chosen["iteration"] == 0], taught])  # F taught first
            axes.plot(
                line["iteration"], line[part],
                color=INK, linewidth=1.4, linestyle=":", label="teacher",
            )  # fmt: skip
        last = chosen["iteration"].max()
        for kind, text, line in (
            ("ensemble", "ensemble", "-"),
            ("control_ensemble", "ensemble without EM", "--"),
        ):
            for value in table.loc[table["kind"] == kind, part]:
                colour = INK if kind == "ensemble" else MUTED
                axes.plot(
                    [-0.15, last + 0.15], [value, value],
                    color=colour, linestyle=line, linewidth=1.1, alpha=0.8, label=text,
                )  # fmt: skip
        axes.set_xticks(range(int(last) + 1))
        axes.set_xlim(-0.3, last + 0.3)
        _name_axes(axes, "iteration of EM", f"{part.removesuffix('_map')} mAP")
        _legend(figure, axes, 3)


def _ranked_by_class(labels: pd.DataFrame, value: pd.Series, y: str, path: str | Path) -> None:
    """A line for each iteration and estimation: its classes in the order of their value."""
    with _figure(path, 3.2) as figure:
        if labels.empty:
            _nothing(figure, "There was no E-step.")
            return
        axes = figure.subplots()
        last = labels["iteration"].max()
        for (i, names), ranked in _ranked(labels.assign(value=value)).items():
            colour = BLUE if len(names) > 1 else CYCLE[_rank_of(names[0], labels)]
            axes.plot(
                np.arange(1, len(ranked) + 1), ranked,
                color=colour, alpha=0.35 + 0.65 * i / last, linestyle="-" if i == last else "--",
                label=f"iteration {i}" + (f", {named(names[0])}" if len(names) == 1 else ""),
            )  # fmt: skip
        axes.xaxis.get_major_locator().set_params(integer=True)
        _name_axes(axes, "classes, each line in its own order", y)
        _legend(figure, axes, 2)


def _ranked(labels: pd.DataFrame) -> dict[tuple[int, tuple[str, ...]], np.ndarray]:
    """{(iteration, estimations): values, the highest first}; equal lines are one."""
    found: dict[tuple[int, tuple[str, ...]], np.ndarray] = {}
    for i, of_iteration in labels.groupby("iteration"):
        lines = {
            str(name): np.sort(rows["value"].to_numpy(float))[::-1]
            for name, rows in of_iteration.groupby("estimation", sort=False)
        }
        first = next(iter(lines.values()))
        if all(np.array_equal(first, line) for line in lines.values()):
            found[i, tuple(lines)] = first
        else:
            found |= {(i, (name,)): line for name, line in lines.items()}
    return found


def _rank_of(estimation: str, labels: pd.DataFrame) -> int:
    return list(dict.fromkeys(labels["estimation"])).index(estimation) % len(CYCLE)


def positives_by_class(labels: pd.DataFrame, path: str | Path) -> None:
    """labels: report_tables.estimated_labels."""
    _ranked_by_class(labels, labels["positives"], "segments labelled with the class", path)


def videos_with_positive(labels: pd.DataFrame, path: str | Path) -> None:
    """labels: report_tables.estimated_labels."""
    carried = labels[labels["videos"] > 0]
    share = 100 * carried["videos_with_positive"] / carried["videos"]
    _ranked_by_class(carried, share, "% of the videos that carry the class", path)


def agreement(totals: pd.DataFrame, path: str | Path) -> None:
    """totals: report_tables.label_totals."""
    with _figure(path, 1.5 + 0.32 * max(1, len(totals))) as figure:
        if totals.empty:
            _nothing(figure, "There was no E-step.")
            return
        axes = figure.subplots()
        rows = np.arange(len(totals))[::-1]
        alone = totals["positives"] - totals["agreed"]
        axes.barh(rows, totals["agreed"], color=BLUE, height=0.62, label="by every estimation")
        axes.barh(
            rows, alone, left=totals["agreed"],
            color=ORANGE, height=0.62, label="not by every estimation",
        )  # fmt: skip
        axes.set_yticks(
            rows,
            [
                f"{i}, {named(e)}"
                for i, e in zip(totals["iteration"], totals["estimation"], strict=True)
            ],
        )
        axes.grid(axis="x")
        axes.grid(visible=False, axis="y")
        _name_axes(axes, "labels: segments times classes", "iteration, estimation")
        _legend(figure, axes, 2)


def against_truth(totals: pd.DataFrame, path: str | Path) -> None:
    """totals: report_tables.label_totals."""
    with _figure(path, 3.2) as figure:
        if totals["precision"].isna().all():
            _nothing(figure, "What is true is not known: these records are not simulated.")
            return
        both = figure.subplots(1, 2, sharey=True)
        for axes, measure in zip(both, ("precision", "recall"), strict=True):
            for number, (estimation, rows) in enumerate(totals.groupby("estimation", sort=False)):
                axes.plot(
                    rows["iteration"], rows[measure].astype(float),
                    marker=MARKS[number % 6], color=CYCLE[number % 6], label=named(estimation),
                )  # fmt: skip
            axes.set_xticks(sorted(totals["iteration"].unique()))
            axes.set_ylim(0, 1)
            axes.margins(x=0.2)
            _name_axes(axes, "iteration of EM", measure)
        _legend(figure, both[0], 3)


CURVES = {"video": "video labels", "pseudo": "estimated labels", "ratings": "ratings"}


def training_curves(table: pd.DataFrame, path: str | Path) -> None:
    """table: report_tables.training_curves."""
    shown = [labels for labels in CURVES if (table["labels"] == labels).any()]
    models = list(dict.fromkeys(table["model"]))
    with _figure(path, 3.4) as figure:
        every = figure.subplots(1, len(shown), squeeze=False)[0]
        for axes, labels in zip(every, shown, strict=True):
            of_labels = table[table["labels"] == labels]
            for (_, kind, model), rows in of_labels.groupby(["run", "kind", "model"], sort=False):
                number = models.index(model)
                axes.plot(
                    rows["epoch"], rows["loss"],
                    color=CYCLE[number % 6], linestyle="--" if kind == "control" else "-",
                    linewidth=1.3, marker=MARKS[number % 6], markersize=3,
                )  # fmt: skip
            axes.xaxis.get_major_locator().set_params(integer=True)
            _name_axes(axes, "epoch", ("loss: " if axes is every[0] else "") + CURVES[labels])
        for number, model in enumerate(models):
            every[0].plot([], [], color=CYCLE[number % 6], marker=MARKS[number % 6], label=model)
        if (table["kind"] == "control").any():
            every[0].plot([], [], color=MUTED, linestyle="--", label="control, without EM")
        _legend(figure, every[0], 3)


def ap_by_class(table: pd.DataFrame, path: str | Path) -> None:
    """The classes whose AP changed most between F of iteration 0 and the ensemble.

    table: report_tables.ap_by_class.
    """
    change = (table["ensemble"] - table["F0"]).abs()
    shown = table.loc[change.dropna().nlargest(SHOWN_CLASSES).index].sort_values("ensemble")
    with _figure(path, 1.3 + 0.18 * len(shown)) as figure:
        if shown.empty:
            _nothing(figure, "No class has a rated positive.")
            return
        axes = figure.subplots()
        rows = np.arange(len(shown))
        gained = (shown["ensemble"] >= shown["F0"]).to_numpy()
        axes.hlines(
            rows, shown["F0"], shown["ensemble"],
            color=np.where(gained, BLUE, VERMILION), linewidth=1.6,
        )  # fmt: skip
        axes.plot(shown["F0"], rows, "o", color="white", markeredgecolor=MUTED, label="iteration 0")
        for chosen, colour, mark, text in (
            (gained, BLUE, "o", "ensemble, gained"),
            (~gained, VERMILION, "D", "ensemble, lost"),
        ):
            axes.plot(shown["ensemble"][chosen], rows[chosen], mark, color=colour, label=text)
        names = zip(shown["class"], shown["name"], strict=True)
        axes.set_yticks(rows, [_shortened(name or f"class {number}") for number, name in names])
        axes.tick_params(axis="y", labelsize=8)
        axes.set_ylim(-0.8, len(shown) - 0.2)
        axes.grid(axis="x")
        _name_axes(axes, "average precision", "class")
        _legend(figure, axes, 3)


def _shortened(name: str, longest: int = 27) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"


def localisation_quality(table: pd.DataFrame, path: str | Path) -> None:
    """table: report_tables.localisation_quality."""
    with _figure(path, 3.2) as figure:
        if table.empty:
            _nothing(figure, "What is true is not known: these records are not simulated.")
            return
        axes = figure.subplots()
        for number, measure in enumerate(("precision", "recall")):
            axes.plot(
                table["threshold"], table[measure].astype(float),
                marker=MARKS[number], markersize=4, color=CYCLE[number], label=measure,
            )  # fmt: skip
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        _name_axes(axes, "a class is found in a segment from this score on", "share of segments")
        _legend(figure, axes, 2)


STAGE_COLOURS = {"data": MUTED, "training": BLUE, "E-step": ORANGE, "other": SKY}
MOST_LANES = 40  # more, as on a cluster, would be metres of paper: then a row a stage


def timeline(jobs: pd.DataFrame, devices: pd.DataFrame, path: str | Path) -> None:
    """jobs, devices: timeline.timeline."""
    lanes = {device: int(rows["lane"].max()) + 1 for device, rows in jobs.groupby("device")}
    many = sum(lanes.values()) > MOST_LANES
    rows, ticks = _rows_by_stage(jobs) if many else _rows_by_device(jobs, devices, lanes)
    height = 0.5 * len(ticks) if many else 0.26 * sum(lanes.values()) + 0.2 * len(lanes)
    with _figure(path, 1.4 + height) as figure:
        if jobs.empty:
            _nothing(figure, "No result tells when it was made.")
            return
        axes = figure.subplots()
        edge = {"linewidth": 0, "alpha": 0.5} if many else {"linewidth": 0.4}
        for stage, colour in STAGE_COLOURS.items():
            chosen = jobs["stage"] == stage
            if chosen.any():
                axes.barh(
                    rows[chosen], jobs["end"][chosen] - jobs["start"][chosen],
                    left=jobs["start"][chosen],
                    color=colour, edgecolor="white", height=0.8, label=stage, **edge,
                )  # fmt: skip
        for pause in jobs.loc[jobs["paused"] > 0, "start"]:
            axes.axvline(pause, color=VERMILION, linewidth=1, linestyle=":")
        axes.set_yticks(list(ticks.values()), list(ticks))
        axes.grid(axis="x")
        axes.grid(visible=False, axis="y")
        _name_axes(axes, "seconds since the first job started", "stage" if many else "device")
        _legend(figure, axes, 4)


def _rows_by_device(
    jobs: pd.DataFrame, devices: pd.DataFrame, lanes: Mapping[str, int]
) -> tuple[pd.Series, dict[str, int]]:
    """The row of each job, and {name: row} of the first one of each device."""
    first = dict(zip(lanes, np.cumsum([0, *lanes.values()]), strict=False))
    busy = devices.set_index("device")["busy"]
    ticks = {f"{device}\n{100 * busy[device]:.0f} % busy": -first[device] for device in lanes}
    return -(jobs["device"].map(first) + jobs["lane"]), ticks


def _rows_by_stage(jobs: pd.DataFrame) -> tuple[pd.Series, dict[str, int]]:
    """The row of each job, and {name: row} of each stage that there is."""
    row = {stage: -number for number, stage in enumerate(STAGE_COLOURS)}
    counts = jobs["stage"].value_counts()
    ticks = {f"{stage}\n{counts[stage]} jobs": row[stage] for stage in row if stage in counts}
    return jobs["stage"].map(row), ticks


def write_all(
    maps: pd.DataFrame,
    labels: pd.DataFrame,
    totals: pd.DataFrame,
    curves: pd.DataFrame,
    classes: pd.DataFrame,
    quality: pd.DataFrame,
    jobs: pd.DataFrame,
    devices: pd.DataFrame,
    folder: str | Path,
) -> list[str]:
    """Write every figure as <name>.svg and what it shows as <name>.csv, and devices.csv.

    The tables are those of report_tables.every_table and timeline.timeline. Returns the names.
    """
    folder = Path(folder)
    drawn = {
        map_by_iteration: maps,
        positives_by_class: labels[["iteration", "estimation", "class", "positives"]],
        videos_with_positive: labels[
            ["iteration", "estimation", "class", "videos", "videos_with_positive"]
        ],
        agreement: totals[["iteration", "estimation", "positives", "agreed", "any", "agreement"]],
        against_truth: totals[
            ["iteration", "estimation", "positives", "correct", "true", "precision", "recall"]
        ],
        training_curves: curves,
        ap_by_class: classes,
        localisation_quality: quality,
    }
    for draw, table in drawn.items():
        draw(table, folder / f"{draw.__name__}.svg")
        write_table(folder / f"{draw.__name__}.csv", table)
    timeline(jobs, devices, folder / "timeline.svg")
    write_table(folder / "timeline.csv", jobs)
    write_table(folder / "devices.csv", devices)
    return [*(draw.__name__ for draw in drawn), "timeline", "devices"]
