"""The same request sent again, even at the same moment, makes nothing new."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.types import clock
from safelight.errors import InvalidRequest
from safelight.jobs.bodies import (
    Generate,
    ImportImages,
    ImportItem,
    MakeBatch,
    NewBatchItem,
    UploadBatch,
)
from safelight.jobs.errors import IdempotencyConflict
from safelight.jobs.ledger import idempotency
from safelight.jobs.submit import Repeat, Submitted, Submitter
from safelight.providers.errors import UnknownModel
from safelight.providers.registry import Registry
from tests import factories
from tests.servers import wait_until_async

MARK = idempotency.fingerprint("POST", "/v1/generate", b"{}")
REPEAT = Repeat("key-1", MARK)
CAT = Generate(prompt="a cat", model="fake")


async def count_jobs(database: Database) -> int:
    query = sa.select(sa.func.count()).select_from(tables.jobs)
    return await database.read(lambda tx: tx.scalar(query) or 0)


async def test_submit_when_sent_again_answers_with_the_first_job(
    submits: Submitter, database: Database, account: str
) -> None:
    first = await submits.generate(account, CAT, REPEAT)
    again = await submits.generate(account, CAT, REPEAT)
    assert (first.replayed, again.replayed) == (False, True)
    assert (again.subject, again.lanes) == (first.subject, frozenset())
    assert await submits.made_before(account, REPEAT) == again
    assert await count_jobs(database) == 1


async def test_submits_when_they_come_at_once_make_one_job(
    submits: Submitter, database: Database, account: str
) -> None:
    answers = await asyncio.gather(*(submits.generate(account, CAT, REPEAT) for _ in range(10)))
    assert len({answer.subject for answer in answers}) == 1
    assert [answer.replayed for answer in answers].count(False) == 1
    assert await count_jobs(database) == 1


async def test_batches_when_they_come_at_once_make_one(
    submits: Submitter, database: Database, account: str
) -> None:
    wanted = ImportImages(urls=["http://a.test/", "http://b.test/"])
    items = [item for item in wanted.items() if isinstance(item, ImportItem)]
    answers = await asyncio.gather(
        *(submits.import_many(account, wanted, items, REPEAT) for _ in range(5))
    )
    assert len({answer.subject for answer in answers}) == 1
    assert await count_jobs(database) == 2


async def test_submits_when_without_a_key_make_a_job_each(
    submits: Submitter, database: Database, account: str
) -> None:
    await submits.generate(account, CAT)
    await submits.generate(account, CAT)
    assert await submits.made_before(account, None) is None
    assert await count_jobs(database) == 2


async def test_submit_when_the_key_was_another_request_s_is_refused(
    submits: Submitter, database: Database, account: str
) -> None:
    await submits.generate(account, CAT, REPEAT)
    other = Repeat("key-1", idempotency.fingerprint("POST", "/v1/generate", b"[]"))
    with pytest.raises(IdempotencyConflict):
        await submits.generate(account, CAT, other)
    assert await count_jobs(database) == 1


async def test_key_when_another_account_uses_it_is_its_own(
    submits: Submitter, database: Database, account: str
) -> None:
    stranger = await factories.new_account(database)
    one = await submits.generate(account, CAT, REPEAT)
    two = await submits.generate(stranger, CAT, REPEAT)
    assert one.subject != two.subject


async def test_key_when_its_submit_failed_is_free_again(
    submits: Submitter, database: Database, account: str
) -> None:
    broken = Generate(prompt="a cat", model="fake", references=["ast_nobody"])
    with pytest.raises(InvalidRequest):
        await submits.generate(account, broken, REPEAT)
    assert not (await submits.generate(account, CAT, REPEAT)).replayed


Submit = Callable[[Submitter, str, datetime | None, Repeat | None], Awaitable[Submitted]]


def generate(
    submits: Submitter, account: str, by: datetime | None, repeat: Repeat | None
) -> Awaitable[Submitted]:
    return submits.generate(account, Generate(prompt="a", model="fake", start_by=by), repeat)


def import_one(
    submits: Submitter, account: str, by: datetime | None, repeat: Repeat | None
) -> Awaitable[Submitted]:
    return submits.import_one(account, ImportImages(url="http://a.test/", start_by=by), repeat)


def import_many(
    submits: Submitter, account: str, by: datetime | None, repeat: Repeat | None
) -> Awaitable[Submitted]:
    wanted = ImportImages(urls=["http://a.test/"], start_by=by)
    items = [item for item in wanted.items() if isinstance(item, ImportItem)]
    return submits.import_many(account, wanted, items, repeat)


def make_3d(
    submits: Submitter, account: str, by: datetime | None, repeat: Repeat | None
) -> Awaitable[Submitted]:
    rows = [factories.asset_row(account)]
    return submits.make_3d(account, UploadBatch(model="fake", start_by=by), rows, repeat)


def make_3d_of(
    submits: Submitter, account: str, by: datetime | None, repeat: Repeat | None
) -> Awaitable[Submitted]:
    wanted = MakeBatch(model="fake", items=[NewBatchItem(image="http://a.test/")], start_by=by)
    return submits.make_3d_of(account, wanted, repeat)


every_submit = pytest.mark.parametrize(
    "submit", [generate, import_one, import_many, make_3d, make_3d_of]
)


@every_submit
async def test_submit_when_sent_again_after_its_start_by_answers_with_the_first(
    submits: Submitter, database: Database, account: str, submit: Submit
) -> None:
    soon = await database.read(clock) + timedelta(seconds=1)
    first = await submit(submits, account, soon, REPEAT)

    async def has_passed() -> bool:
        return await database.read(clock) > soon

    await wait_until_async(has_passed)
    again = await submit(submits, account, soon, REPEAT)
    assert (again.subject, again.replayed) == (first.subject, True)
    with pytest.raises(InvalidRequest) as refused:
        await submit(submits, account, soon, None)
    assert [each["field"] for each in refused.value.errors] == ["start_by"]
    assert await count_jobs(database) == 1


@every_submit
async def test_submit_when_sent_again_after_its_model_was_removed_answers_with_the_first(
    submits: Submitter, database: Database, account: str, submit: Submit
) -> None:
    first = await submit(submits, account, None, REPEAT)
    poorer = Submitter(database, Registry([]), max_attempts=3)
    again = await poorer.once(account, REPEAT, lambda: submit(poorer, account, None, REPEAT))
    assert (again.subject, again.replayed) == (first.subject, True)
    for other in (None, Repeat("key-2", MARK)):
        with pytest.raises(UnknownModel):
            await poorer.once(account, other, lambda: submit(poorer, account, None, None))


async def test_submit_when_sent_again_after_its_picture_was_deleted_answers_with_the_first(
    submits: Submitter, database: Database, account: str
) -> None:
    picture = await factories.keep(database, account)
    wanted = Generate(prompt="a", model="fake", references=[picture.id])
    items = MakeBatch(model="fake", items=[NewBatchItem(image=picture.id)])
    first = await submits.generate(account, wanted, REPEAT)
    other = Repeat("key-2", MARK)
    batch = await submits.make_3d_of(account, items, other)
    gone = sa.delete(tables.assets).where(tables.assets.c.id == picture.id)
    await database.write(lambda tx: tx.execute(gone))
    assert (await submits.generate(account, wanted, REPEAT)).subject == first.subject
    assert (await submits.make_3d_of(account, items, other)).subject == batch.subject
    with pytest.raises(InvalidRequest):
        await submits.generate(account, wanted)


async def test_forget_when_keys_are_old_removes_those_a_page_at_a_time(
    submits: Submitter, database: Database, account: str
) -> None:
    for number in range(5):
        await submits.generate(account, CAT, Repeat(f"key-{number}", MARK))
    forget = idempotency.forget
    day, none = timedelta(days=1), timedelta()
    assert await database.write(lambda tx: forget(tx, kept=day, limit=9)) == 0
    assert await database.write(lambda tx: forget(tx, kept=none, limit=3)) == 3
    assert await database.write(lambda tx: forget(tx, kept=none, limit=3)) == 2


def test_fingerprint_when_any_part_differs_differs() -> None:
    mark = idempotency.fingerprint
    marks = {
        mark("POST", "/a", b"x", b"y"),
        mark("POST", "/a", b"xy"),
        mark("POST", "/a", b"", b"xy"),
        mark("POST", "/b", b"x", b"y"),
        mark("PUT", "/a", b"x", b"y"),
        mark("POST", "/a", b"y", b"x"),
    }
    assert len(marks) == 6
