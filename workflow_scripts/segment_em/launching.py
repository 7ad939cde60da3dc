"""Starting the processes of one job, a GPU each, by torchrun."""

from collections.abc import Sequence

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def launch(count: int, command: Sequence[str]) -> int:
    """Run a script, with its arguments, as `count` processes; return the job's exit status.

    torchrun ends with a traceback of its own where a signal stops the job or a process fails, and
    with status 1 whatever theirs was. What there is to say the processes have said.
    """
    try:
        run.main(["--standalone", "--nproc-per-node", str(count), *command])
    except SignalException as stopped:
        return 128 + stopped.sigval
    except ChildFailedError as failed:
        _, first = failed.get_first_failure()
        return first.exitcode if first.exitcode > 0 else 128 - first.exitcode
    return 0
