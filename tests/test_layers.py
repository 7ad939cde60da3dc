"""The import rules of the house: data flows one way, and heavy packages stay where they belong."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "workflow_scripts"
LIBRARY = SCRIPTS / "segment_em"

HDF5 = {
    "hdf5",
    "hdf5_writing",
    "skipped",
    "index_files",
    "own_features",
    "prediction_files",
    "pseudo_label_files",
    "lineage",
}
TORCH = {
    "averaging",
    "checkpoint",
    "compute",
    "curves",
    "dataset",
    "evaluation",
    "inference",
    "launching",
    "losses",
    "monitor",
    "poolings",
    "prediction",
    "processes",
    "replay",
    "scoring",
    "estimation",
    "maximisation",
    "stages",
    "training",
    "training_state",
    "models",
}
# What jobs with torch import; pandas would be 0.4 s at the start of each.
NO_PANDAS = TORCH | {"calibration", "labels", "prediction_files", "ratings_table", "shown_videos"}
NO_PANDAS |= {"ensemble", "metrics", "pseudo_label_files", "submission"}  # numpy alone
NO_PANDAS |= {"label_set_files"}
# Who may know whom, from the records up; a module may import what stands in earlier rows.
ORDER = [
    {
        "buffers",
        "errors",
        "code_digest",
        "launching",
        "processes",
        "protobuf",
        "framing",
        "page",
        "options",
        "terms",
    },
    {"progress", "files"},
    {"curves"},
    {"hdf5_writing", "provenance", "records", "metrics", "submission"},
    {"truth", "timeline", "gpus"},
    {"class_lists", "hdf5", "command_line", "tables", "simulation", "lineage", "ensemble"},
    {"ratings_table", "skipped", "report_tables", "figures", "label_set_files"},
    {"candidates", "calibration"},
    {"weighing", "selection"},
    {"ablation"},
    {"index", "movers"},
    {"index_files", "left_out", "localisation", "pseudo_label_files"},
    {"preflight"},
    {"annotations"},
    {"own_features"},
    {"indexing"},
    {"frames", "targets", "poolings", "models", "estimators", "thresholds", "compute"},
    {"losses"},
    {
        "averaging",
        "checkpoint",
        "comparison",
        "dataset",
        "feature_scale",
        "labels",
        "prediction_files",
    },
    {"monitor", "training_state", "splits"},
    {"label_sets", "training", "inference", "outputs", "interval_files"},
    {"inspection", "localisation_quality", "shown_videos"},
    {"stages", "viewer"},
    {"scoring"},
    {"estimation", "evaluation", "maximisation", "new_videos", "prediction"},
    {"replay", "report"},
]


def modules():
    return sorted(
        path for path in LIBRARY.rglob("*.py") if path.parent != LIBRARY or path.stem[0] != "_"
    )


def imports(path):
    """Names of all modules that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def area(path):
    return path.relative_to(LIBRARY).with_suffix("").parts[0]


def packages(path):
    return {name.partition(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(LIBRARY)))
def test_a_module_knows_only_what_stands_below_it(path):
    level = {name: number for number, names in enumerate(ORDER) for name in names}
    assert area(path) in level, "give the module its place in ORDER"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "segment_em" and len(parts) > 1 and (LIBRARY / parts[1]).exists():
            assert parts[1] == area(path) or level[parts[1]] < level[area(path)], name
        if parts[0] == "segment_em" and len(parts) > 1 and (LIBRARY / f"{parts[1]}.py").exists():
            assert level[parts[1]] < level[area(path)], name


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(LIBRARY)))
def test_heavy_packages_stay_where_they_belong(path):
    used = packages(path)
    assert "snakemake" not in used
    assert "yaml" not in used, "the library does not know the configuration file"
    assert "h5py" not in used or area(path) in HDF5
    assert "torch" not in used or area(path) in TORCH
    assert "pandas" not in used or area(path) not in NO_PANDAS
    assert "matplotlib" not in used or area(path) == "figures"
    assert "jinja2" not in used or area(path) == "page"


def test_models_know_nothing_but_torch_and_each_other():
    for path in (LIBRARY / "models").glob("*.py"):
        ours = {name for name in imports(path) if name.startswith("segment_em.")}
        allowed = ("segment_em.models", "segment_em.errors", "segment_em.options")
        loading = ("segment_em.code_digest",) if path.name == "__init__.py" else ()
        assert all(name.startswith(allowed + loading) for name in ours), path
        assert packages(path) <= sys.stdlib_module_names | {"torch", "segment_em"}, path


def test_poolings_know_nothing_but_torch_and_each_other():
    for path in (LIBRARY / "poolings").glob("*.py"):
        ours = {name for name in imports(path) if name.startswith("segment_em.")}
        loading = ("segment_em.code_digest", "segment_em.errors")
        allowed = ("segment_em.poolings", *(loading if path.name == "__init__.py" else ()))
        assert all(name.startswith(allowed) for name in ours), path


def test_estimators_and_thresholds_need_only_numpy():
    for path in [*(LIBRARY / "estimators").glob("*.py"), *(LIBRARY / "thresholds").glob("*.py")]:
        assert packages(path) <= sys.stdlib_module_names | {"numpy", "segment_em"}, path


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.py")), ids=lambda p: p.name)
def test_adapters_are_thin_and_never_import_each_other(path):
    others = {other.stem for other in SCRIPTS.glob("*.py")}
    assert not others & packages(path)
    assert len(path.read_text().splitlines()) <= 60


def test_the_rules_import_nothing_heavy():
    """Neither themselves nor by what they import: each start of Snakemake would wait for it."""
    texts = [path.read_text() for path in [ROOT / "Snakefile", *ROOT.glob("rules/*.smk")]]
    names = {name for text in texts for name in re.findall(r"^(?:from|import) (\S+)", text, re.M)}
    ahead, reached = [*ROOT.glob("rules/*.py"), *filter(None, map(file_of, names))], set()
    while ahead:
        path = ahead.pop()
        if path not in reached:
            reached.add(path)
            ahead += filter(None, map(file_of, imports(path)))
            assert not packages(path) & {"torch", "h5py", "numpy", "pandas"}, path
    assert {LIBRARY / "provenance.py", LIBRARY / "simulation/settings.py"} <= reached


def file_of(name):
    """The file of a module of ours; None of any other's."""
    folder = SCRIPTS if name.startswith("segment_em.") else ROOT / "rules"
    path = folder / f"{name.replace('.', '/')}.py"
    return path if path.is_file() else None
