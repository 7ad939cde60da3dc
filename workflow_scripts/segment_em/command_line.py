"""What all adapters share: log lines, the JSON configuration argument, one-line errors."""

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from segment_em import provenance
from segment_em.errors import InputError, StoppedError
from segment_em.provenance import Job, TrainingJob

STOPPING = (signal.SIGTERM, signal.SIGINT)


def parser(description: str) -> argparse.ArgumentParser:
    """An argument parser with the arguments that every job takes."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument(
        "--config",
        type=_json,
        required=True,
        help="the settings of this job: a JSON object, or the path of a .json file with one",
    )
    return arguments


def _json(text: str) -> Any:
    if text.endswith(".json"):
        if not Path(text).is_file():
            raise argparse.ArgumentTypeError(f"{text}: no such file")
        text = Path(text).read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None


def at_least(least: int) -> Callable[[str], int]:
    """The type of an argument that is an integer of `least` or more."""

    def integer(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is below {least}")
        return value

    return integer


def run(main: Callable[[], None]) -> None:
    """Call `main`; turn an InputError into one line on stderr and exit status 1.

    A job that SIGTERM or SIGINT stops removes its temporary files and exits with 128 and the
    signal's number. Of the processes that torchrun starts for one job, only the first writes log
    lines.
    """
    for number in STOPPING:
        signal.signal(number, _stop)
    first = os.environ.get("RANK", "0") == "0"
    level = logging.INFO if first else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    try:
        provenance.begin()
        main()
    except InputError as error:
        # In one piece: jobs that end together share a screen.
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)
    except StoppedError as stopped:
        logging.info("%s", stopped)
        sys.exit(128 + stopped.signal_number)


def _stop(number: int, _: FrameType | None) -> None:
    """Leave by an exception, so that what is half written is removed."""
    for each in STOPPING:  # one signal is enough; a second one must not cut the cleaning short
        signal.signal(each, signal.SIG_IGN)
    name = signal.Signals(number).name
    raise StoppedError(number, f"stopped by {name}; the same command starts this job again")


def training_parser(description: str) -> argparse.ArgumentParser:
    """The arguments of a job that trains."""
    arguments = _computing(parser(description), by_hand=False)
    arguments.add_argument(
        "--state-minutes", type=float, required=True, help="between two states to resume from"
    )
    arguments.add_argument("--compile", action="store_true", help="use torch.compile")
    arguments.add_argument("--out", required=True, help="weights (.safetensors)")
    return arguments


def scoring_parser(description: str) -> argparse.ArgumentParser:
    """The arguments of a job that scores videos."""
    arguments = _scoring(parser(description), by_hand=False)
    arguments.add_argument("--out", required=True, help="the result")
    return arguments


def applying_parser(description: str) -> argparse.ArgumentParser:
    """The arguments of a script that takes its settings from the artefacts of a run."""
    return _scoring(argparse.ArgumentParser(description=description), by_hand=True)


def _scoring(arguments: argparse.ArgumentParser, by_hand: bool) -> argparse.ArgumentParser:
    _number(arguments, "--videos", 1, 64 if by_hand else None, "a batch, speed only")
    arguments.add_argument(
        "--weights", nargs="*", default=[], help="all that an ensemble may name: recorded as inputs"
    )
    return _computing(arguments, by_hand)


def _computing(arguments: argparse.ArgumentParser, by_hand: bool) -> argparse.ArgumentParser:
    """by_hand: may be run without the workflow, which takes these from the configuration."""
    threads, workers, gpus = (1, 0, 1) if by_hand else (None, None, None)
    _number(arguments, "--threads", 1, threads, "CPU threads")
    _number(arguments, "--workers", 0, workers, "threads that read ahead, speed only")
    _number(arguments, "--gpus", 0, gpus, "promised; where there is none, the CPU computes")
    return arguments


def _number(
    arguments: argparse.ArgumentParser, name: str, least: int, default: int | None, meaning: str
) -> None:
    arguments.add_argument(
        name, type=at_least(least), default=default, required=default is None, help=meaning
    )


def job(args: argparse.Namespace, inputs: Sequence[str]) -> Job:
    """What the library records and how much of the machine it may use, from the arguments."""
    _name_lines(args.out)
    return Job(args.config, inputs, args.threads, args.workers, args.gpus)


def training_job(args: argparse.Namespace, inputs: Sequence[str]) -> TrainingJob:
    """The same for a job that trains."""
    _name_lines(args.out)
    common = (args.config, inputs, args.threads, args.workers, args.gpus)
    return TrainingJob(*common, args.state_minutes, args.compile)


def _name_lines(out: str) -> None:
    """Let each log line begin with the job's result: the lines of several jobs mix on a screen."""
    path = Path(out)
    name = str(Path(path.parent.name, path.stem)).replace("%", "%%")
    for handler in logging.getLogger().handlers:
        handler.setFormatter(logging.Formatter(f"{name}: %(message)s"))
