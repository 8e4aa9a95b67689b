"""Makes frozen dataclasses of rows whose columns are their fields.

The `__init__` of a frozen dataclass takes a third of a microsecond per field, a dictionary of the
row as much again; a worker reads each job twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Generic, TypeVar

from sqlalchemy import RowMapping

T = TypeVar("T")


class Decoder(Generic[T]):
    """Makes a `kind`, a dataclass with slots and without defaults, of each row of its table.

    The columns come in the order of the fields. `converted` makes the values of some of them.
    """

    def __init__(self, kind: type[T], **converted: Callable[[Any], Any]) -> None:
        self._kind = kind
        self._names = tuple(field.name for field in fields(kind))  # pyright: ignore[reportArgumentType]
        self._puts = tuple(getattr(kind, name).__set__ for name in self._names)
        self._converted = tuple(
            (name, getattr(kind, name).__set__, convert) for name, convert in converted.items()
        )

    def __call__(self, row: RowMapping | Mapping[str, Any]) -> T:
        """Return the row's object; ValueError for a row of other columns."""
        made = object.__new__(self._kind)
        for put, value in zip(self._puts, row.values(), strict=True):
            put(made, value)
        for name, put, convert in self._converted:
            put(made, convert(row[name]))
        return made
