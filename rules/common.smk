# Checks the configuration and answers the rules' questions: which files, which part of the
# configuration, which code. The only place that reads `config`.
import os
import shlex
import sys
import zlib

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

sys.path[:0] = [f"{workflow.basedir}/rules", f"{workflow.basedir}/workflow_scripts"]
from configuration import (
    SPLITS,
    ConfigError,
    checked,
    chunked,
    features_of,
    files_of,
    options_of,
    split_member,
    threshold_of,
)
from recall import recall_from_stamps
from segment_em.code_digest import code_digests
from segment_em.provenance import (
    beside,
    canonical,
    digest,
    file_digest,
    other_versions,
    stamps_below,
)

recall_from_stamps()

try:
    CONFIG = checked(config)
except ConfigError as error:
    raise WorkflowError(str(error)) from None

DATA, EM, COMPUTE = CONFIG["data"], CONFIG["em"], CONFIG["compute"]
RESULTS = f"results/{CONFIG['experiment']}"
# A Path, since Snakemake leaves it out when it compares params: the folders may move.
SCRIPTS = Path(os.path.relpath(f"{workflow.basedir}/workflow_scripts"))
LAST = len(EM["iterations"])


wildcard_constraints:
    experiment=r"[^/]+",
    split="|".join(SPLITS),
    chunk=r"\d+",
    i=r"\d+",
    model=r"[^/@]+",
    estimation=r"[a-z_]+",
    stage="pretrained|finetuned",
    # A model's own folder, and the folder of a mean of models.
    run=r"em/iteration-\d+/[^/]+|controls/(?!ensemble/)[^/]+",
    untaught=r"em/iteration-0/[^/@]+|controls/(?!ensemble/)[^/@]+",
    group=r"ensemble|controls/ensemble",


# Data: which files, in which chunks ---------------------------------------------------------------


SIMULATED = not any(split in DATA for split in SPLITS)
SIMULATION_FOLDER = f"results/data/{DATA['name']}"


def record_files(split):
    if SIMULATED:
        count = DATA["simulation"]["files"][split]
        return [f"{SIMULATION_FOLDER}/{split}-{n:03d}.tfrecord" for n in range(count)]
    return files_of(DATA[split])


CHUNKS = {split: chunked(record_files(split), DATA["chunks"]) for split in SPLITS}
CLASS_LIST = f"{SIMULATION_FOLDER}/segment_label_ids.csv" if SIMULATED else DATA["segment_classes"]
VOCABULARY = f"{SIMULATION_FOLDER}/vocabulary.csv" if SIMULATED else DATA.get("vocabulary", [])


def index(split):
    """The index chunks of a split."""
    return [f"results/index/{DATA['name']}/{split}/{chunk}.h5" for chunk in CHUNKS[split]]


# EM: who is a member, and what comes before ------------------------------------------------------


MEMBERS = [[EM["initial"]], *EM["iterations"]]
CONTROLS = (
    list(dict.fromkeys(split_member(member)[0] for member in MEMBERS[LAST]))
    if CONFIG["controls"] and LAST
    else []
)


def of_members(name):
    """That file of each member of the wildcards' iteration."""
    return lambda wildcards: [
        f"results/{wildcards.experiment}/em/iteration-{wildcards.i}/{member}/{name}"
        for member in MEMBERS[int(wildcards.i)]
    ]


def selected(name, back):
    """That file of the selection `back` iterations ago; none before iteration 0."""

    def path(wildcards):
        i = int(wildcards.i) - back
        return f"results/{wildcards.experiment}/em/iteration-{i}/{name}" if i >= 0 else []

    return path


def previous_selection(wildcards):
    """F of the iteration before, where it stays in the running."""
    return selected("selected.json", back=1)(wildcards) if EM["select"] == "so_far" else []


def pseudo_labels(wildcards):
    """The E-step's chunks of the wildcards' iteration."""
    folder = f"results/{wildcards.experiment}/em/iteration-{wildcards.i}/pseudo_labels"
    return [f"{folder}/{chunk}.h5" for chunk in CHUNKS["train"]]


def ensemble_runs(group):
    """The models that are averaged: the last iteration's members, or the controls."""
    if group == "ensemble":
        return [f"em/iteration-{LAST}/{member}" for member in MEMBERS[LAST]]
    return [f"controls/{model}" for model in CONTROLS]


def of_ensemble(name, group=None):
    """That file of each model of the wildcards' ensemble, or of the given one."""
    return lambda wildcards: [
        f"results/{wildcards.experiment}/{run}/{name}"
        for run in ensemble_runs(group or wildcards.group)
    ]


def scored_runs(name):
    """That file of every model and ensemble that has a row in the table."""
    runs = [f"em/iteration-{i}/{member}" for i, group in enumerate(MEMBERS) for member in group]
    runs += ["ensemble"]
    if CONTROLS:
        runs += [*ensemble_runs("controls/ensemble"), "controls/ensemble"]
    return [f"{RESULTS}/{run}/{name}" for run in runs]


def kept_results():
    """Weights and pseudo-labels: asked for, so that one that is deleted is made again."""
    runs = [f"em/iteration-{i}/{member}" for i, group in enumerate(MEMBERS) for member in group]
    runs += ensemble_runs("controls/ensemble")
    files = [f"{run}/{stage}.safetensors" for run in runs for stage in ("pretrained", "finetuned")]
    for i in range(LAST + 1):
        files.append(f"em/iteration-{i}/selected.safetensors")
        files += [f"em/iteration-{i}/pseudo_labels/{chunk}.h5" for chunk in CHUNKS["train"] if i]
    return [f"{RESULTS}/{file}" for file in files]


# What a job depends on: the part of the configuration that it uses, and its code ------------------


def model_name(run):
    return split_member(run.rpartition("/")[2])[0]


def training_settings(run, stage, **extra):
    """Everything that decides one training job, beside its input files."""
    model, training = CONFIG["models"][model_name(run)], CONFIG["training"]
    plan = training[stage]
    return canonical(
        {
            "architecture": model["architecture"],
            "options": options_of(model),
            "features": features_of(CONFIG),
            "max_frames": DATA["max_frames"],
            "segment_frames": DATA["segment_frames"],
            "learning_rate": model["training"]["learning_rate"] * plan["learning_rate_factor"],
            "batch": model["training"]["batch"],
            "epochs": plan["epochs"],
            "decay": training["decay"],
            "clip_norm": training["clip_norm"],
            "precision": training["precision"],
            # Each model draws its own numbers, whatever else is trained beside it.
            "seed": zlib.crc32(f"{CONFIG['seed']}/{run}/{stage}".encode()),
            **extra,
        }
    )


def simulation_settings():
    """Everything that decides the simulated records; the number of files only divides them."""
    simulation = {key: value for key, value in DATA["simulation"].items() if key != "files"}
    return canonical({"features": dict(features_of(CONFIG)), **simulation})


def scoring_settings(**extra):
    """Everything that decides a job that scores videos, beside its input files."""
    return canonical(
        {
            "max_frames": DATA["max_frames"],
            "segment_frames": DATA["segment_frames"],
            "precision": CONFIG["training"]["precision"],
            **extra,
        }
    )


def evaluation_settings(**extra):
    evaluation = CONFIG["evaluation"]
    return scoring_settings(
        measure={
            "top_segments": evaluation["top_segments"],
            "replicates": evaluation["bootstrap_replicates"],
            "seed": CONFIG["seed"],
        },
        **extra,
    )


def code(script, *plugins):
    """Digests of the script, of what it imports and of the plug-ins that it loads by name."""
    return canonical(code_digests(f"{workflow.basedir}/workflow_scripts/{script}", plugins))


def model_file(run):
    return f"models/{CONFIG['models'][model_name(run)]['architecture']}.py"


def model_files(runs):
    return sorted({model_file(run) for run in runs})


def teacher_files(wildcards):
    """The files of all models that may be F before the wildcards' iteration."""
    before = range(int(wildcards.i)) if EM["select"] == "so_far" else [int(wildcards.i) - 1]
    return model_files(member for i in before for member in MEMBERS[i])


# How a job computes: nothing here decides a result, so nothing repeats a job -----------------------


def memory(kind):
    """MB of memory: as configured, room for the inputs, which jobs map, and twice that each try."""

    def megabytes(wildcards, input, attempt):
        # An input that is not there yet makes Snakemake ask again when it is.
        inputs = sum(os.path.getsize(file) for file in input) / 1e6
        return int((COMPUTE["memory_mb"][kind] + inputs) * 2 ** (attempt - 1))

    return megabytes


def minutes(kind):
    """Minutes that a job may take, twice as many at each further try."""
    return lambda wildcards, attempt: COMPUTE["minutes"][kind] * 2 ** (attempt - 1)


def launcher(wildcards, resources):
    """What starts a job that may hold GPUs: on devices of its own, and with a process a GPU."""
    if not resources.gpu:
        return "python"
    program = "python"
    if resources.gpu > 1:
        program = f"torchrun --standalone --nproc-per-node {resources.gpu}"
    return f"python {shlex.quote(str(SCRIPTS / 'on_gpus.py'))} {resources.gpu} {program}"


def training_speed(wildcards, threads, resources):
    """The arguments of a training job that change its speed alone."""
    flags = " --compile" if COMPUTE["compile"] else ""
    return (
        f"--threads {threads} --workers {COMPUTE['loader_workers']} --gpus {resources.gpu}"
        f" --state-minutes {COMPUTE['state_minutes']}{flags}"
    )


# Versions: results that were made with others -----------------------------------------------------


def warn_of_versions():
    """Name results that were made with other versions; whether to repeat them is for people."""
    folders = [f"results/{kind}/{DATA['name']}" for kind in ("data", "index")] + [RESULTS]
    files = other_versions(folders)
    if files:
        shown = "\n".join(f"  {file}: {change}" for file, change in list(files.items())[:3])
        logger.warning(
            f"{len(files)} results were made with other versions of their packages:\n{shown}\n"
            "They stand. To repeat them, add to the command line: --forcerun"
            f" $(python {SCRIPTS}/other_versions.py {' '.join(folders)})"
        )


if workflow.is_main_process:
    warn_of_versions()


# Several experiments: those that are compared -----------------------------------------------------


def compared():
    """{experiment: digests of its table and its stamps} of those that are compared."""
    names = CONFIG.get("experiments", [])
    missing = [name for name in names if not Path(f"results/{name}/table.csv").is_file()]
    if missing:
        raise WorkflowError(
            f"config: experiments: '{missing[0]}' has no results/{missing[0]}/table.csv;"
            f" finish it first: snakemake --config experiment={missing[0]}"
        )
    return {
        name: [file_digest(f"results/{name}/table.csv"), digest(stamps_below(f"results/{name}"))]
        for name in names
    }


COMPARED = compared()
COMPARISON = f"results/compare/{'+'.join(COMPARED) or 'none'}"


def some_experiments(wildcards):
    """No files, but the error where nothing says what to compare."""
    if not COMPARED:
        raise WorkflowError("compare: name experiments: --config experiments='[a, b]'")
    return []
