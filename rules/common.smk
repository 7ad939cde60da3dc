# Checks the configuration, sets up the experiments, and answers what the rules ask of the machine.
# The only place that reads `config`. Which files belong to a job: experiments.py; which settings:
# job_settings.py, or beside the rule where they are a line.
import json
import os
import re
import shlex
import sys
from functools import cache

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

sys.path[:0] = [f"{workflow.basedir}/rules", f"{workflow.basedir}/workflow_scripts"]
import asking
from ancient_inputs import look_behind_ancient_inputs
from configuration import ConfigError
from entries import unused_threshold_options
from recall import recall_from_stamps
from rescheduling import look_again_once
from run_lines import one_line_a_job
from segment_em.code_digest import code_digests
from segment_em.errors import InputError
from segment_em.provenance import (
    STARTED,
    beside,
    canonical,
    digest,
    file_digest,
    other_versions,
    stamp_beside,
    stamps_below,
)
from segment_em.terms import SPLITS
from variations import experiments_of

recall_from_stamps()
look_again_once()
look_behind_ancient_inputs()

try:
    EXPERIMENTS = experiments_of(config)
except ConfigError as error:
    raise WorkflowError(str(error)) from None

MAIN = next(iter(EXPERIMENTS.values()))  # what is made unless another target is asked for
VARIATIONS = [experiment for experiment in EXPERIMENTS.values() if experiment.variation]
RESULTS = MAIN.folder
DATASETS = {experiment.data.name: experiment.data for experiment in EXPERIMENTS.values()}
# A Path, since Snakemake leaves it out when it compares params: the folders may move.
SCRIPTS = Path(os.path.relpath(f"{workflow.basedir}/workflow_scripts"))


wildcard_constraints:
    experiment="|".join(map(re.escape, EXPERIMENTS)),
    name="|".join(map(re.escape, DATASETS)),
    split="|".join(SPLITS),
    chunk=r"\d+",
    i=r"\d+",
    model=r"[^/@]+",
    estimation=r"[^/@]+",
    # A model's own folder, and the folder of a mean of models.
    run=r"em/iteration-\d+/(?!ensemble/)[^/]+|controls/(?!ensemble/)[^/]+",
    without_em=r"em/iteration-0/[^/@]+|controls/(?!ensemble/)[^/@]+",
    group=r"ensemble|controls/ensemble|em/iteration-\d+/ensemble",


def of(wildcards):
    """The experiment whose folder a job writes to."""
    return EXPERIMENTS[wildcards.experiment]


def simulated_splits():
    """(data, split) of all records that are simulated."""
    simulated = [data for data in DATASETS.values() if data.simulated]
    return [(data, split) for data in simulated for split in SPLITS]


def dataset(wildcards):
    """The data whose index or simulated records a job makes."""
    return DATASETS[wildcards.name]


def new_records(wildcards):
    """The files of new videos, or the error where nothing names them."""
    files = of(wildcards).new_records()
    if not files:
        example = "--config localise='{records: \"new*.tfrecord\"}'"
        raise WorkflowError(f"localise: name the files of new videos: {example}")
    return files


# What a job depends on beside its input files and settings: its code ------------------------------


@cache
def code(script, *plugins):
    """Digests of the script, of what it imports and of the plug-ins that it loads by name."""
    return canonical(code_digests(f"{workflow.basedir}/workflow_scripts/{script}", plugins))


# How a job computes: nothing here decides a result, so nothing repeats a job -----------------------


def compute(wildcards):
    """What the job's experiment says of the machine; where it makes data for several, the main one."""
    return (of(wildcards) if "experiment" in wildcards.keys() else MAIN).config["compute"]


def training_gpus(wildcards):
    return compute(wildcards)["gpu"]


def scoring_gpus(wildcards):
    return min(1, compute(wildcards)["gpu"])


def processes(wildcards):
    """How many a job that trains has: one for each GPU."""
    return max(1, training_gpus(wildcards))


def training_threads(wildcards):
    return compute(wildcards)["threads"] * processes(wildcards)


def scoring_threads(wildcards):
    return compute(wildcards)["threads"]


def memory(kind, counted=None, held=lambda wildcards, input: 0):
    """MB of memory, see asking.megabytes. counted: the input that is counted a file at a time.

    held: gives the bytes of it that stay.
    """

    def megabytes(wildcards, input, attempt):
        apart = input[counted] if counted else []
        own = compute(wildcards)["memory_mb"][kind]
        count = processes(wildcards) if kind == "train" else 1
        # Records need no room: they are mapped, and the kernel takes their pages back as it likes.
        whole = {*input} - {*input.get("records", []), *apart}
        stays = held(wildcards, input)
        return asking.megabytes(own, count, attempt, whole, apart, stays)

    return megabytes


def labels_held(wildcards, input):
    """Bytes of the labels that an M-step learns from."""
    every = of(wildcards).em["agreement"]
    return asking.label_bytes(input.pseudo_labels, None if every else input.label_set)


def minutes(kind):
    """Minutes that a job may take.

    More at a further try, but for training, which goes on from where it was: so a job never asks
    for more than a partition gives.
    """

    def asked(wildcards, attempt):
        own = compute(wildcards)["minutes"][kind]
        return own if kind == "train" else asking.doubled(own, attempt)

    return asked


def launcher(wildcards, resources):
    """What starts a job that may hold GPUs: on devices of its own, and with a process a GPU."""
    if not resources.gpu:
        return "python"
    program = "python"
    if resources.gpu > 1:
        program = f"python {shlex.quote(str(SCRIPTS / 'on_processes.py'))} {resources.gpu}"
    return f"python {shlex.quote(str(SCRIPTS / 'on_gpus.py'))} {resources.gpu} {program}"


def training_speed(wildcards, threads, resources):
    """The arguments of a training job that change its speed alone."""
    machine = compute(wildcards)
    workers = machine["loader_workers"] * processes(wildcards)
    flags = " --compile" if machine["compile"] else ""
    return (
        f"--threads {threads} --workers {workers} --gpus {resources.gpu}"
        f" --state-minutes {machine['state_minutes']}{flags}"
    )


def scoring_speed(wildcards, threads, resources):
    """The same of a job that scores."""
    machine = compute(wildcards)
    return (
        f"--threads {threads} --workers {machine['loader_workers']} --gpus {resources.gpu}"
        f" --videos {machine['inference_videos']}"
    )


# Versions: results that were made with others -----------------------------------------------------


def warn_of_versions():
    """Name results that were made with other versions; whether to repeat them is for people."""
    folders = [f"results/{kind}/{name}" for kind in ("data", "index") for name in DATASETS]
    folders += [experiment.folder for experiment in EXPERIMENTS.values()]
    try:
        files = other_versions(folders)
    except InputError as error:
        raise WorkflowError(str(error)) from None
    if files:
        shown = "\n".join(f"  {file}: {change}" for file, change in list(files.items())[:3])
        logger.warning(
            f"{len(files)} results were made with other versions of their packages:\n{shown}\n"
            "They stand. To repeat them, add to the command line: --forcerun"
            f" $(python {shlex.join([str(SCRIPTS / 'other_versions.py'), *folders])})"
        )


def warn_of_other_records():
    """Say so where an index is to be made again for other files or settings, and all on it."""
    for data in DATASETS.values():
        for split in ("train", "segments"):  # a test set may be exchanged
            stamps = list(filter(None, map(stamp_beside, data.index(split))))
            made_from = {path for stamp in stamps for path in stamp["inputs"]}
            gone = sorted(made_from.difference(data.record_files(split)))
            if gone:
                what = f"from {len(gone)} files that data.{split} does not name now ({gone[0]})"
            elif any(canonical(stamp["config"]) != data.index_settings() for stamp in stamps):
                what = f"with other settings ({', '.join(json.loads(data.index_settings()))})"
            else:
                continue
            logger.warning(
                f"data.name {data.name}: its index of {split} was made {what}: it is made again,"
                " and all that was trained on it; another data.name keeps both"
            )


def warn_of_fewer_gpus():
    """Say so where a limit on all jobs cuts what one is to have: Snakemake does it silently."""
    limit = workflow.global_resources.get("gpu").value  # None without one
    wanted = max(experiment.config["compute"]["gpu"] for experiment in EXPERIMENTS.values())
    if limit is not None and limit < wanted:
        logger.warning(
            f"--resources gpu={limit} leaves a job {limit} of the {wanted} GPUs of compute.gpu"
            + ("" if limit else ": it computes on the CPU")
        )


def tell_of_unused_options():
    """A δ on the command line, say, does nothing where the rule in use takes none."""
    unused = unused_threshold_options(MAIN.config)
    if unused:
        logger.info(
            f"em.threshold: {MAIN.config['em']['threshold']['rule']} does not take"
            f" {', '.join(unused)}: without effect"
        )


if workflow.is_main_process:
    one_line_a_job(logger)
    tell_of_unused_options()
    warn_of_versions()
    warn_of_other_records()
    warn_of_fewer_gpus()


# Several experiments: those that are compared -----------------------------------------------------


COMPARED = MAIN.config.get("experiments", [])
COMPARISON = f"results/compare/{'+'.join(COMPARED) or 'none'}"


def some_experiments(wildcards):
    """No files, but the error where nothing says what to compare, or an experiment has no table."""
    if not COMPARED:
        raise WorkflowError("compare: name experiments: --config experiments='[a, b]'")
    for name in COMPARED:
        if not Path(f"results/{name}/table.csv").is_file():
            raise WorkflowError(
                f"config: experiments: '{name}' has no results/{name}/table.csv; finish it first,"
                f" with its own --configfile and --config experiment={name}"
            )
    return []


def compared(wildcards):
    """{experiment: digests of its table and its stamps} of those that are compared."""
    folders = {name: f"results/{name}" for name in COMPARED}
    try:
        stamps = {name: digest(stamps_below(folder)) for name, folder in folders.items()}
    except InputError as error:
        raise WorkflowError(str(error)) from None
    tables = {name: file_digest(f"{folder}/table.csv") for name, folder in folders.items()}
    return canonical({name: [tables[name], stamps[name]] for name in COMPARED})


def summaries(wildcards):
    """One of each variation, or the error where nothing is to be varied."""
    if not VARIATIONS:
        raise WorkflowError(
            "ablation: name variations, data and seeds (docs/choosing.md shows how)"
        )
    return [f"{experiment.folder}/summary.json" for experiment in VARIATIONS]


# What is said at the end --------------------------------------------------------------------------

SHOWN = {
    "table.csv": "the table",
    "localisations.csv": "what occurs when",
    "report.html": "the report",
}


def closing_words():
    """The table and where the rest lies, if this run made any of these; else nothing."""
    table_log = Path(RESULTS) / "table.log"
    there = {what: path for name, what in SHOWN.items() if (path := Path(RESULTS) / name).is_file()}
    if not table_log.is_file() or all(path.stat().st_mtime < STARTED for path in there.values()):
        return ""
    lines = [f"{what + ':':18}{path}\n" for what, path in there.items()]
    return "".join([table_log.read_text(), "\n", *lines])
