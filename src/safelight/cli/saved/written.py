"""Writes one file, whole or not at all, or a stream on standard output."""

import os
import stat
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from safelight.cli.failure import BadUse

STDOUT = "-"


@contextmanager
def writing(target: str) -> Generator[BinaryIO]:
    """Yield a stream for `target`: standard output for `-`, else a file only its owner can read.

    The file appears under its name once the block has ended without an error. Raises `BadUse`
    where it cannot be written.
    """
    if target == STDOUT:
        if sys.stdout.isatty():
            raise BadUse("A terminal cannot show a TAR: redirect the output to a file or a pipe.")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    check_regular(path)
    try:
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise BadUse(f"{path} cannot be written: {error.strerror}.") from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(handle)
        Path(draft).replace(path)
    finally:
        Path(draft).unlink(missing_ok=True)


def check_regular(path: Path) -> None:
    """Raise `BadUse` where `path` is something else than a regular file or a free name."""
    if not path.parent.is_dir():
        raise BadUse(f"{path} cannot be written: there is no folder {path.parent}.")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise BadUse(f"{path} cannot be written: {error.strerror}.") from None
    if not stat.S_ISREG(mode):
        raise BadUse(f"{path} is not a regular file, so it is not replaced. Choose another name.")
