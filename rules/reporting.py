"""What the report of an experiment is made from, and what decides it."""

from collections.abc import Iterable
from typing import Any

from experiments import ENSEMBLE, Experiment, teaching

from segment_em.provenance import beside, canonical
from segment_em.terms import PARTS, SPLITS

# Each with a caption in rules/captions/.
FIGURES = {
    "map_by_iteration": "Result",
    "positives_by_class": "E-step",
    "videos_with_positive": "E-step",
    "agreement": "E-step",
    "against_truth": "E-step",
    "training_curves": "Training",
    "ap_by_class": "Classes",
    "localisation_quality": "Localisation",
    "timeline": "The run",
}


def inspections(e: Experiment) -> list[str]:
    return [f"{e.folder}/em/iteration-{i}/inspection.csv" for i in range(1, e.last + 1)]


def truth(e: Experiment, split: str) -> list[str]:
    """What really occurs in a split; an empty list where it is not known."""
    return [f"{e.data.folder}/truth/{split}.npz"] if e.data.simulated else []


def window(e: Experiment) -> dict[str, int]:
    """How videos are cut into segments."""
    return {key: e.config["data"][key] for key in ("max_frames", "segment_frames")}


def process(e: Experiment) -> dict[str, Any]:
    return {"members": e.members, "controls": e.controls, "teachers": teachers(e)}


def teachers(e: Experiment) -> list[str]:
    """What estimates after each iteration, 0 included: F<i>, or as T<i> a mean of models."""
    means = e.teachers()
    return [f"{'T' if teaching(i) in means else 'F'}{i}" for i in range(e.last + 1)]


# Scores of the shown videos -----------------------------------------------------------------------


def choice_settings(e: Experiment) -> str:
    fraction = e.config["data"]["validation_fraction"]
    return canonical({"videos": e.config["report"]["videos"], "validation_fraction": fraction})


def scorers(e: Experiment) -> list[str]:
    """The teacher after each iteration, and the ensemble."""
    return [*teachers(e), ENSEMBLE]


def scorer_file(e: Experiment, scorer: str) -> str:
    """The file that scores: weights, or a members.json."""
    group = _group(scorer)
    return e.ensemble(group) if group else e.selected(scorer[1:], "safetensors")


def _group(scorer: str) -> str | None:
    """The folder of the mean that it is; None where it is F."""
    if scorer == ENSEMBLE:
        return scorer
    return teaching(scorer[1:]) if scorer.startswith("T") else None


def scorer_weights(e: Experiment, scorer: str) -> list[str]:
    """The weights that a members.json may name, by part."""
    group = _group(scorer)
    if group is None:
        return []
    return _unique([*e.ensemble_weights(group), *e.validated_weights(group)])


def scorer_models(e: Experiment, scorer: str) -> list[str]:
    group = _group(scorer)
    return e.ensemble_code(group) if group else e.teacher_code(int(scorer[1:]) + 1)


def replays(e: Experiment) -> list[str]:
    folder = f"{e.folder}/report/scores"
    return [f"{folder}/{scorer}/{part}.h5" for scorer in scorers(e) for part in PARTS]


# Figures and page ---------------------------------------------------------------------------------


def figure_files(e: Experiment) -> list[str]:
    names = [f"{name}.{ending}" for name in FIGURES for ending in ("svg", "csv")]
    return [f"{e.folder}/figures/{name}" for name in (*names, "devices.csv")]


def tables(e: Experiment) -> list[str]:
    """table.csv, and what it was made from."""
    return [f"{e.folder}/table.csv", *e.table_inputs()]


def estimated(e: Experiment) -> list[str]:
    """What each E-step did."""
    return [*inspections(e), *e.label_sets()]


def localisation_quality(e: Experiment) -> list[str]:
    """How well the localisations fit the truth, where it is known."""
    return [f"{e.folder}/localisation_quality.csv"] if e.data.simulated else []


def told(e: Experiment) -> list[str]:
    """The .json that tells how a result came to be, of every result before the report."""
    made = [e.data.split_check]
    made += [file for split in SPLITS for file in e.data.index(split)]
    if e.data.simulated:
        made += [e.data.class_list, *(f for split in SPLITS for f in e.data.record_files(split))]
    made += e.all_weights()
    for i in range(1, e.last + 1):
        made += [*e.pseudo_labels(i), *e.calibration(i), *e.mean_teacher(i)]
    made += [*e.table_inputs(), *(e.ensemble(group) for group in e.groups()), *estimated(e)]
    made += [*e.predictions(), f"{e.folder}/table.csv", *e.submission(), *localisation_quality(e)]
    made += [
        f"{e.folder}/preflight.csv",
        f"{e.folder}/ensemble.json",
        f"{e.folder}/localisations.csv",
        f"{e.folder}/report/videos.csv",
        *replays(e),
    ]
    return _unique(str(beside(file)) for file in made)


def ratings(e: Experiment) -> list[str]:
    """Each rating's score by every model and ensemble."""
    return [e.ratings(run, part) for run in e.scored_runs() for part in PARTS]


def page_settings(e: Experiment) -> str:
    shown = {
        key: e.config["report"][key] for key in ("title", "link", "thumbnail", "classes_a_video")
    }
    return canonical(
        {
            "process": process(e),
            "page": shown
            | {
                "threshold": e.config["localisation"]["threshold"],
                "validation_fraction": e.config["data"]["validation_fraction"],
            },
        }
    )


def _unique(files: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(files))
