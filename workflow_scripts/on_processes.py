"""Run a script as several processes of one job, a GPU each: on_processes.py COUNT SCRIPT ..."""

import sys

from segment_em import command_line, launching


def main() -> None:
    count, *command = sys.argv[1:]
    sys.exit(launching.launch(int(count), command))


if __name__ == "__main__":
    command_line.run(main)
