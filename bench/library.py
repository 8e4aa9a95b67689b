"""How long it takes to list and search the assets of a large account, on either database.

Rows are made by the database or in bulk, but their words by the product's own code: 20,000 models,
each used again with another account, day and hash.
"""

import asyncio
import hashlib
import itertools
import random
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from bench.components import Components
from bench.sizes import Sizes
from bench.table import Row, latency
from safelight.assets import search, store
from safelight.assets.asset import Asset, AssetKind
from safelight.assets.index import index, terms
from safelight.assets.index.terms import Filter
from safelight.assets.index.words import parse
from safelight.db.engine import Database, open_database
from safelight.db.migrate import migrate
from safelight.db.types import to_json, to_microseconds

_MODELS = 20_000
_VOCABULARY = 50_000
_TAGS = 300
_HOSTS = 2_000
_FIRST = datetime(2024, 1, 1, tzinfo=UTC)
_SPAN = timedelta(days=1000)
_BIG = "acc_0"  # has four assets in five
_SMALL = "acc_7"
_LONGEST_S = 7200
_FORMATS = ("jpeg",) * 800 + ("png",) * 150 + ("webp",) * 40 + ("avif",) * 9 + ("tiff",)
_SIDES = (640, 800, 1024, 1280, 1600, 1920, 2560, 3000, 4000, 4032, 6000)


@dataclass(frozen=True, slots=True)
class _Model:
    """Fields shared by many generated assets."""

    asset: Asset
    words: str  # without what differs


async def library(ground: Components, sizes: Sizes) -> list[Row]:
    """Measure each kind of query at each size, on both databases."""
    models = _models(random.Random(7))  # noqa: S311  the same rows every time
    rows: list[Row] = []
    for name, url, fill in (
        ("PostgreSQL", ground.postgres.new_database(), _fill_postgresql),
        ("SQLite", f"sqlite:///{ground.folder / 'library.db'}", _fill_sqlite),
    ):
        database = open_database(url)
        await migrate(database)
        try:
            present = 0
            for size in sizes.assets:
                began = time.perf_counter()
                await fill(url, models, present, size)
                present = size
                filled = time.perf_counter() - began
                print(f"{name}: {size:,} assets in {filled:.0f} s", flush=True)
                rows += await _measure(name, database, size, sizes.searches)
        finally:
            await database.close()
    return rows


# --- rows ------------------------------------------------------------------------------------


def _models(chance: random.Random) -> list[_Model]:
    vocabulary = [_word(number) for number in range(_VOCABULARY)]
    weights = list(itertools.accumulate(1 / (rank + 10) for rank in range(_VOCABULARY)))
    return [_model(number, chance, vocabulary, weights) for number in range(_MODELS)]


def _word(number: int) -> str:
    consonants, vowels = "bdfgklmnprstvz", "aeiou"
    letters: list[str] = []
    number += 200
    while number:
        number, rest = divmod(number, len(consonants) * len(vowels))
        letters.append(consonants[rest % len(consonants)] + vowels[rest // len(consonants)])
    return "".join(letters)


def _model(
    number: int, chance: random.Random, vocabulary: list[str], weights: list[float]
) -> _Model:
    some = partial(chance.choices, vocabulary, cum_weights=weights)
    host = f"img{chance.randrange(9)}.site{int(_HOSTS ** chance.random())}.example"
    name = " ".join(some(k=3))
    asset = Asset(
        id="",
        number=number,
        account_id=_BIG,
        job_id=None,
        position=0,
        kind=AssetKind.IMAGE,
        name=f"{name}.jpg",
        caption=" ".join(some(k=12)),
        external_id="",
        tags=sorted({f"tag{int(_TAGS ** chance.random())}" for _ in range(3)}),
        metadata={},
        key=None,
        original_key="originals/x/y",
        media_type=f"image/{chance.choice(_FORMATS)}",
        bytes=chance.randrange(10**5, 10**7),
        width=chance.choice(_SIDES),
        height=chance.choice(_SIDES),
        sha256="00" * 32,
        placeholder="3OcRJYB4d3h/iIeHeEh3eIhw+j2w",
        perceptual_hash=None,
        facts={"exif": {"Make": "Canon", "Model": f"EOS {chance.randrange(1, 90)}"}, "frames": 1},
        renditions={},
        source_url=f"https://{host}/{name.replace(' ', '-')}.jpg",
        source_host=host,
        prompt="",
        model="link",
        provider="link",
        created_at=_FIRST,
        expires_at=None,
        hold="",
        seq=1,
    )
    words = terms.words_of(asset).replace(terms.account(_BIG), "").strip()
    return _Model(asset, words)


_COLUMNS = [
    "name",
    "caption",
    "external_id",
    "tags",
    "metadata",
    "original_key",
    "media_type",
    "bytes",
    "width",
    "height",
    "sha256",
    "placeholder",
    "facts",
    "renditions",
    "source_url",
    "source_host",
    "prompt",
    "model",
    "provider",
]
_ACCOUNT = "'acc_' || CASE WHEN number % 5 < 4 THEN 0 ELSE 1 + number / 5 % 2000 END"
_MADE = f"timestamptz '{_FIRST:%Y-%m-%d}+00' + number * interval '{{step}} microseconds'"
_FILL_POSTGRESQL = (
    """INSERT INTO assets (id, number, account_id, position, kind, created_at, perceptual_hash,
        {columns})
    SELECT 'ast_' || lpad(number::text, 12, '0'), number, {account}, 0, 'image', {made},
        left(md5(number::text), 16), {columns}
    FROM generate_series(CAST({first} AS bigint), CAST({last} AS bigint)) AS number
    JOIN models ON models.id = number * 7919 % {models}""",
    """INSERT INTO asset_search (number, account_id, words)
    SELECT number, {account}, models.words || array_to_tsvector(ARRAY[
        'xp0' || substr(md5(number::text), 1, 4), 'xp1' || substr(md5(number::text), 5, 4),
        'xp2' || substr(md5(number::text), 9, 4), 'xp3' || substr(md5(number::text), 13, 4)])
    FROM generate_series(CAST({first} AS bigint), CAST({last} AS bigint)) AS number
    JOIN models ON models.id = number * 7919 % {models}""",
)


async def _fill_postgresql(url: str, models: list[_Model], present: int, wanted: int) -> None:
    driver = create_async_engine(
        url.replace("postgresql:", "postgresql+asyncpg:"),
        connect_args={"command_timeout": _LONGEST_S},
    )
    values = {
        "columns": ", ".join(_COLUMNS),
        "account": _ACCOUNT,
        "made": _MADE.format(step=_step_us(wanted)),
        "first": present + 1,
        "last": wanted,
        "models": _MODELS,
    }
    async with driver.begin() as connection:
        if not present:
            await connection.run_sync(_make_models, models)
        await connection.execute(sa.text("SET LOCAL maintenance_work_mem = '1GB'"))
        await connection.execute(sa.text("DROP INDEX ix_asset_search_words"))
        for statement in _FILL_POSTGRESQL:
            await connection.execute(sa.text(statement.format(**values).replace("::", "\\:\\:")))
        made = "CREATE INDEX ix_asset_search_words ON asset_search USING gin (words)"
        await connection.execute(sa.text(made))
    async with driver.connect() as connection:
        bare = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await bare.execute(sa.text("VACUUM ANALYZE"))
    await driver.dispose()


def _make_models(tx: Connection, models: list[_Model]) -> None:
    accounts = "SELECT 'acc_' || number, 'bench', now() FROM generate_series(0, 2000) AS number"
    tx.execute(sa.text(f"INSERT INTO accounts (id, name, created_at) {accounts}"))
    kinds = {"tags": "jsonb", "metadata": "jsonb", "facts": "jsonb", "renditions": "jsonb"}
    kinds |= {"bytes": "bigint", "width": "integer", "height": "integer"}
    spelled = ", ".join(f"{name} {kinds.get(name, 'text')}" for name in _COLUMNS)
    tx.execute(sa.text(f"CREATE TABLE models (id bigint PRIMARY KEY, {spelled}, words tsvector)"))
    rows = [
        {"id": number, "words": index.vector(model.words)}
        | {name: getattr(model.asset, name) for name in _COLUMNS}
        for number, model in enumerate(models)
    ]
    for start in range(0, len(rows), 1000):
        tx.execute(
            sa.text(
                "INSERT INTO models SELECT * FROM jsonb_populate_recordset(NULL\\:\\:models,"
                " CAST(:rows AS jsonb))"
            ),
            {"rows": to_json(rows[start : start + 1000])},
        )


async def _fill_sqlite(url: str, models: list[_Model], present: int, wanted: int) -> None:
    await asyncio.to_thread(_fill_file, url.removeprefix("sqlite:///"), models, present, wanted)


def _fill_file(path: str, models: list[_Model], present: int, wanted: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    if not present:
        connection.executemany(
            "INSERT INTO accounts (id, name, created_at) VALUES (?, 'bench', 0)",
            ((f"acc_{number}",) for number in range(2001)),
        )
    fixed = [tuple(_plain(getattr(model.asset, name)) for name in _COLUMNS) for model in models]
    step = timedelta(microseconds=_step_us(wanted))
    marks = ", ".join("?" * (len(_COLUMNS) + 7))
    names = ", ".join(_COLUMNS)
    numbers = range(present + 1, wanted + 1)
    connection.executemany(
        "INSERT INTO assets (id, number, account_id, position, kind, created_at, perceptual_hash,"  # noqa: S608
        f" {names}) VALUES ({marks})",
        (
            (
                f"ast_{number:012d}",
                number,
                _account(number),
                0,
                "image",
                to_microseconds(_FIRST + number * step),
                _hash(number),
                *fixed[number * 7919 % _MODELS],
            )
            for number in numbers
        ),
    )
    own = {f"acc_{number}": terms.account(f"acc_{number}") for number in range(2001)}
    connection.executemany(
        "INSERT INTO asset_search (rowid, words) VALUES (?, ?)",
        (
            (number, " ".join((own[_account(number)], _chunks(number), _words(models, number))))
            for number in numbers
        ),
    )
    connection.execute("COMMIT")
    connection.execute("ANALYZE")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _words(models: list[_Model], number: int) -> str:
    return models[number * 7919 % _MODELS].words


def _plain(value: Any) -> Any:
    return to_json(value) if isinstance(value, dict | list) else value


def _account(number: int) -> str:
    return _BIG if number % 5 < 4 else f"acc_{1 + number // 5 % 2000}"


def _hash(number: int) -> str:
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()[:16]


def _chunks(number: int) -> str:
    digits = _hash(number)
    return " ".join(f"xp{place}{digits[4 * place : 4 * place + 4]}" for place in range(4))


def _step_us(wanted: int) -> int:
    return _SPAN // timedelta(microseconds=1) // wanted


# --- queries ---------------------------------------------------------------------------------

Ask = Callable[[Connection], object]


def _asks(size: int, chance: random.Random) -> dict[str, Callable[[], Ask]]:
    def page(account: str = _BIG, before: int | None = None, **wanted: Any) -> Ask:
        chosen = Filter(**wanted)
        return lambda tx: search.page(tx, account, chosen, before=before, limit=51)

    def word(low: int, high: int) -> str:
        return _word(chance.randrange(low, high))

    def month() -> dict[str, Any]:
        first = _FIRST + timedelta(days=chance.randrange(900))
        return {"created_after": first, "created_before": first + timedelta(days=30)}

    def likeness(tx: Connection) -> object:
        number = chance.randrange(size // 5) * 5 + 1
        asset = store.get(tx, _BIG, f"ast_{number:012d}")
        return asset and search.similar(tx, asset, distance=7, limit=20)

    return {
        "newest page": page,
        "page in the middle": lambda: page(before=chance.randrange(1, size)),
        "tag": lambda: page(tags=(f"tag{int(_TAGS ** chance.random())}",)),
        "two tags": lambda: page(
            tags=(f"tag{chance.randrange(1, 9)}", f"tag{chance.randrange(50)}")
        ),
        "rare format": lambda: page(format="tiff"),
        "at least 6000 wide": lambda: page(min_width=6000, min_height=6000),
        "a past month": lambda: page(**month()),
        "host": lambda: page(host=f"site{int(_HOSTS ** chance.random())}.example"),
        "common word": lambda: page(text=parse(word(0, 20))),
        "usual word": lambda: page(text=parse(word(20, 2_000))),
        "rare word": lambda: page(text=parse(word(2_000, _VOCABULARY))),
        "two words": lambda: page(text=parse(f"{word(0, 200)} {word(0, 200)}")),
        "begin of a word": lambda: page(text=parse(f"{word(0, 2_000)[:4]}*")),
        "word, tag, size, month": lambda: page(
            text=parse(word(0, 100)), tags=("tag1",), min_width=1000, **month()
        ),
        "usual word, small account": lambda: page(_SMALL, text=parse(word(0, 500))),
        "looks alike": lambda: likeness,
        "facets of all": lambda: (
            lambda tx: search.facets(tx, _BIG, Filter(), search.FACETS, most=50)
        ),
    }


async def _measure(name: str, database: Database, size: int, count: int) -> list[Row]:
    chance = random.Random(11)  # noqa: S311
    rows: list[Row] = []
    for title, ask in _asks(size, chance).items():
        await database.read(ask())
        took: list[float] = []
        for _ in range(count):
            wanted = ask()
            began = time.perf_counter()
            await database.read(wanted)
            took.append(time.perf_counter() - began)
        rows.append({"database": name, "assets": size, "asked": title, **latency(took)})
    return rows
