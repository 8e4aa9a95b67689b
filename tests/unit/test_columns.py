"""Values written to columns and read back: JSON, and rows as objects."""

from dataclasses import dataclass
from enum import StrEnum

import pytest
import sqlalchemy as sa

from safelight.db.decoder import Decoder
from safelight.db.types import from_json, to_json


class Color(StrEnum):
    """A value of a column."""

    RED = "red"


@dataclass(frozen=True, slots=True)
class Thing:
    """A row."""

    id: int
    color: Color


@pytest.mark.parametrize(
    "value",
    [
        {},
        [1, -0.5, None, True],
        {"text": "Zürich\n\\u0000"},
        {"count": 2**63 - 1},
        [2**80 + 1, -(2**80) - 1],
    ],
)
def test_json_when_written_and_read_is_the_same(value: object) -> None:
    assert from_json(to_json(value)) == value


@pytest.mark.parametrize(("text", "kept"), [("a\x00b", "a\ufffdb"), ("a\ud800b", "a?b")])
def test_json_when_a_database_refuses_its_text_has_a_replacement(text: str, kept: str) -> None:
    assert from_json(to_json({"detail": text})) == {"detail": kept}


def row(**values: object) -> sa.RowMapping:
    columns = [sa.literal(value).label(name) for name, value in values.items()]
    with sa.create_engine("sqlite://").connect() as connection:
        return connection.execute(sa.select(*columns)).mappings().one()


def test_row_when_decoded_is_an_object_with_its_enums() -> None:
    assert Decoder(Thing, color=Color)(row(id=7, color="red")) == Thing(7, Color.RED)


def test_row_when_it_has_other_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        Decoder(Thing, color=Color)(row(id=7, color="red", size=3))
