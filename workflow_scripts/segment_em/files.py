"""Writing files so that a reader never sees half of one, and so that a full disk loses nothing.

And reading JSON, which people may edit or cut, with a line that names the file.
"""

import errno
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from glob import glob
from pathlib import Path
from typing import Any, BinaryIO

from segment_em.errors import InputError

# Of the disk, whatever was being written; then of one place.
DISK = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space, or ask for a larger quota",
    errno.EROFS: "mount it for writing",
}
PLACE = {errno.EACCES: "let this user write there", errno.EPERM: "let this user write there"}


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds.

    The parent folder is made. If the block raises, the temporary file is removed and `path` is
    left as it was; what an attempt that was killed left behind is removed too. Raises InputError
    with the path and the space where the disk is full or may not be written, and where another
    attempt took this one for such.
    """
    path = Path(path)
    # A new attempt must not write into the file of one that still runs, on whatever machine: on two
    # of them, or in two containers, processes may have the same number.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with refusals_told(path, temporary):
            path.parent.mkdir(parents=True, exist_ok=True)
            _remove_left_behind(path)
            yield temporary
            if not temporary.exists():
                raise InputError(
                    f"{path}: another attempt at it took away what this one wrote; give the "
                    "command again, one at a time"
                )
            _flush(temporary)
            os.replace(temporary, path)
    finally:
        if temporary.exists():  # a read-only disk refuses to remove even what is not there
            temporary.unlink()


def write_json(path: str | Path, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all. Raises ValueError on NaN."""
    with replacing(path) as temporary:
        text = json.dumps(value, indent=1, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """What a JSON file holds. Raises InputError with the path if it is not whole."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:  # also where it is no text at all
        raise InputError(f"{path}: not whole JSON ({error}); delete it to make it anew") from None


@contextmanager
def scratch(path: str | Path, size: int) -> Iterator[BinaryIO]:
    """Yield a file of `size` bytes, more than none, on the disk of `path`, gone with the process.

    Its space is taken at once: a map of a file that finds the disk full later would kill the
    process without a word. Raises InputError as `replacing` does.
    """
    folder = Path(path).parent
    with ExitStack() as stack:
        with refusals_told(Path(path), folder, size):
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
            os.posix_fallocate(file.fileno(), 0, size)
        yield file


def matching(pattern: str) -> list[str]:
    """The file of just this name, which may look like a glob, or what the glob matches."""
    return [pattern] if os.path.isfile(pattern) else glob(pattern, recursive=True)


def quoted(field: str) -> str:
    """A field of a CSV file, quoted as RFC 4180 where it has to be."""
    # Python's csv.writer leaves a lone carriage return bare before 3.13, which ends the row.
    if any(character in field for character in ',"\r\n'):
        return '"' + field.replace('"', '""') + '"'
    return field


def _remove_left_behind(path: Path) -> None:
    part = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]+\.part")
    for other in path.parent.iterdir():
        if part.fullmatch(other.name):
            other.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Have the disk take it: a network file system may say only then that it is full."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def refusals_told(path: Path, temporary: Path | None = None, size: int = 0) -> Iterator[None]:
    """Turn the disk's refusal to take `path` into an InputError with the path and the space.

    temporary: what is written in its place. size: bytes that are due; by default what is begun.
    """
    written = temporary or path
    places = {str(place) for place in (written, path, *path.parents)}
    try:
        yield
    except OSError as error:
        here = error.errno in PLACE and error.filename in places
        if not (here or error.errno in DISK):
            raise
        if not size and written.exists():
            size = written.stat().st_size
        folder = next(place for place in path.parents if place.exists())
        total, _, free = shutil.disk_usage(folder)
        raise InputError(
            f"{path}: cannot be written: {os.strerror(error.errno)} ({_megabytes(free)} free of "
            f"{_megabytes(total)}, {_megabytes(size)} of it begun); "
            f"{(DISK | PLACE)[error.errno]}, then give the same command again"
        ) from error


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
