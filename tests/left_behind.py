"""What a run may leave behind: processes that carry its mark, and temporary files."""

from pathlib import Path


def processes(mark):
    """{process number: command} of those that have `mark` in their environment or command."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                told = (entry / "environ").read_bytes(), (entry / "cmdline").read_bytes()
            except OSError:  # it has just ended
                continue
            if any(mark.encode() in part for part in told):
                found[int(entry.name)] = told[1].replace(b"\0", b" ").decode()
    return found


def hidden(folder):
    """Paths below the folder of which some part begins with a dot: temporary files and states."""
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob(".*"))
