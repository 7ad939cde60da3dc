"""Run a command on GPUs that no other job holds: on_gpus.py COUNT COMMAND ..."""

import os
import sys

from segment_em import command_line, gpus


def main() -> None:
    count, *command = sys.argv[1:]
    devices = gpus.held(int(count), os.environ)
    os.environ.update(gpus.shown(devices, os.environ))
    # The command takes this process over, and the locks with it.
    os.execvp(command[0], command)


if __name__ == "__main__":
    command_line.run(main)
