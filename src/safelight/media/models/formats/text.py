"""Writes arrays as lines of text, in batches of bounded memory."""

from collections.abc import Iterator
from typing import IO

from safelight.media.models.formats.scene import Floats, Ints

_ROWS = 1 << 16  # formatted at once


def write_rows(file: IO[bytes], row: str, values: Floats | Ints) -> None:
    """Write each row of `values` (n, k) with the %-format `row`, which takes k values.

    Nine digits (`%.9g`) represent any single-precision number exactly.
    """
    for some in _chunks(values):
        file.write((row * len(some) % tuple(some.ravel().tolist())).encode("ascii"))


def _chunks(values: Floats | Ints) -> Iterator[Floats | Ints]:
    return (values[start : start + _ROWS] for start in range(0, len(values), _ROWS))
