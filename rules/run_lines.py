"""What a run prints: a line where a job starts and a line where one is done, in the paper's words.

Snakemake prints six lines a job. It can leave some out (--quiet), but not shorten them.
"""

import logging
import os
import time
from pathlib import Path
from typing import Any

from snakemake.logging import DefaultFormatter, get_event, is_quiet_about
from snakemake_interface_logger_plugins.common import LogEvent

SCREEN = "DefaultStreamHandler"
# That jobs are chosen goes without saying, and that one is done the progress says.
LEFT_OUT = (LogEvent.JOB_STARTED, LogEvent.JOB_FINISHED)


class OneLine(DefaultFormatter):
    """The time and the message of a rule, unless the reasons of the jobs are asked for too."""

    def format_job_info(self, msg: dict[str, Any]) -> str:
        if not msg["rule_msg"] or not is_quiet_about(self.quiet, "reason"):
            return super().format_job_info(msg)
        return f"{time.strftime('%H:%M:%S')} {msg['rule_msg']}"

    def format_job_error(self, msg: dict[str, Any]) -> str:
        """Snakemake's dozen lines, and then what the job itself said last: where, what, remedy."""
        logs = [Path(path) for path in msg["log"] or () if os.path.isfile(path)]
        said = [f"{path}: {line}" for path in logs for line in path.read_text().splitlines()[-1:]]
        return "\n".join([super().format_job_error(msg), *said])


def worth_a_line(record: logging.LogRecord) -> bool:
    """Whether a record is shown."""
    return get_event(record) not in LEFT_OUT and not str(record.msg).startswith("Select jobs")


def one_line_a_job(logger: logging.Logger) -> None:
    """Let Snakemake's screen, not its log file, print so."""
    for handler in logger.handlers:
        if handler.name == SCREEN:
            before = handler.formatter
            handler.setFormatter(OneLine(before.quiet, before.show_failed_logs))
            handler.addFilter(worth_a_line)
