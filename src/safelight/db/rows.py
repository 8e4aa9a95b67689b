"""Makes dataclasses of rows: each column is the field of its name."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def from_row(kind: Callable[..., T], row: Mapping[Any, Any], /, **converted: object) -> T:
    """Return `kind` made of the row; the fields of `converted` replace or complete its columns."""
    return kind(**{**row, **converted})
