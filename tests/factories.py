"""Makes valid rows and values for tests; each call overrides what its test is about."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight import ids
from safelight.accounts import key_store
from safelight.accounts import store as accounts
from safelight.accounts.account import Credential, Visibility, new_secret
from safelight.accounts.key_store import NewKey
from safelight.accounts.scopes import MEMBER_SCOPES, Scopes
from safelight.assets import store as asset_store
from safelight.assets.asset import Asset, AssetKind, NewAsset
from safelight.assets.lifecycle.rekey import Rekeyer
from safelight.assets.lifecycle.trash import Trash
from safelight.assets.service import Assets
from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.types import now
from safelight.errors import SafelightError
from safelight.jobs.job import (
    Attempt,
    Batch,
    Claim,
    Ground,
    Job,
    JobStatus,
    NewBatch,
    NewJob,
    Outcome,
)
from safelight.jobs.ledger import attempts, moves, store
from safelight.jobs.ledger.attempts import Closing
from safelight.jobs.scheduling import claims
from safelight.providers.provider import Kind, Lane, Model
from safelight.storage.disk import DiskStorage
from safelight.storage.errors import StorageFailed
from safelight.storage.storage import Storage

T = TypeVar("T")

LEASE = timedelta(seconds=30)
WEEK = timedelta(days=7)
LONG_AGO = timedelta(seconds=-1)
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
PROBLEM = SafelightError().problem()


async def new_key(
    database: Database,
    account_id: str,
    scopes: Scopes = MEMBER_SCOPES,
    *,
    kind: Credential = Credential.KEY,
    valid_for: timedelta | None = None,
) -> str:
    """Return the secret of a new credential."""
    secret = new_secret(kind)
    new = NewKey(account_id, kind, "test", secret, scopes, valid_for)
    await database.write(lambda tx: key_store.insert(tx, new))
    return secret


def job_row(account_id: str, **changes: Any) -> NewJob:
    """Return a row; a value that is missing is as the database has it."""
    row = {
        "id": ids.new("job"),
        "account_id": account_id,
        "kind": Kind.TEXT_TO_IMAGE,
        "prompt": "a cat",
        "model": "fake",
        "provider": "fake",
        "params": {},
        "inputs": [],
        "tags": [],
        "metadata": {},
        "lane": Lane.REMOTE,
        "timeout_s": 600.0,
        "keep_s": None,
        "repeatable": True,
        "max_attempts": 3,
        **changes,
    }
    return cast("NewJob", row)


def trash(
    database: Database, assets: Assets, storage: Storage, scratch: Path, *, kept: timedelta = WEEK
) -> Trash:
    """Return deletion with a window."""
    return Trash(database, assets, Rekeyer(database, storage, scratch), kept=kept)


def batch_row(account_id: str, **changes: Any) -> NewBatch:
    """Return a row; a value that is missing is as the database has it."""
    row = {
        "id": ids.new("batch"),
        "account_id": account_id,
        "kind": Kind.IMPORT_IMAGE,
        "problems": [],
        "tags": [],
        "metadata": {},
        **changes,
    }
    return cast("NewBatch", row)


def job(**changes: Any) -> Job:
    """Return a job that was never in a database: running, since noon, its first attempt sent."""
    fields: dict[str, Any] = {
        "status": JobStatus.RUNNING,
        "stage": None,
        "progress": 0.0,
        "source_url": "",
        "name": "",
        "external_id": "",
        "webhook_url": "",
        "notify": None,
        "visibility": Visibility.PUBLIC,
        "fallbacks": [],
        "first_plan": None,
        "batch_id": None,
        "batch_index": None,
        "priority": 0,
        "ready": False,
        "run_at": NOON,
        "start_by": None,
        "attempts": 1,
        "crashes": 0,
        "wakes": 0,
        "fence": 1,
        "leased_by": "wrk_1",
        "leased_until": NOON + LEASE,
        "seq": 2,
        "error": None,
        "cost_micros": None,
        "cost_known_micros": None,
        "estimate_micros": None,
        "created_at": NOON,
        "started_at": NOON,
        "finished_at": None,
    }
    return Job(**{**fields, **cast("dict[str, Any]", job_row("acc_1", **changes))})


def batch(**changes: Any) -> Batch:
    """Return a batch that was never in a database."""
    fields: dict[str, Any] = {
        "name": "",
        "webhook_url": "",
        "notify": None,
        "seq": 1,
        "created_at": NOON,
        "finished_at": None,
    }
    return Batch(**{**fields, **cast("dict[str, Any]", batch_row("acc_1", **changes))})


def model(**changes: Any) -> Model:
    """Return a model that takes `n`, `size` and `seed`."""
    fields: dict[str, Any] = {
        "id": "brush",
        "provider": "fake",
        "title": "Brush",
        "description": "Paints.",
        "kinds": frozenset({Kind.TEXT_TO_IMAGE}),
        "lane": Lane.REMOTE,
        "timeout": timedelta(seconds=60),
        "params_schema": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "n": {"type": "integer", "minimum": 1, "maximum": 8, "default": 1},
                "size": {"type": "string", "pattern": "^[0-9]+x[0-9]+$", "default": "1024x1024"},
                "seed": {"type": "integer", "minimum": 0},
            },
        },
    }
    return Model(**fields | changes)


async def new_account(database: Database, name: str = "someone") -> str:
    """Return the id of an account made now."""
    return (await database.write(lambda tx: accounts.insert_account(tx, name))).id


async def queue(database: Database, account_id: str, **changes: Any) -> Job:
    """Return a job queued now."""
    row = job_row(account_id, **changes)
    return (await database.write(lambda tx: store.insert(tx, [row])))[0]


async def queue_many(database: Database, rows: Iterable[NewJob]) -> list[Job]:
    """Return several jobs queued now."""
    full = list(rows)
    return await database.write(lambda tx: store.insert(tx, full))


async def claim(
    database: Database,
    *,
    worker: str = "wrk_1",
    lane: str = Lane.REMOTE,
    slots: int = 100,
    lease: timedelta = LEASE,
    cursor: claims.Cursor = claims.START,
) -> list[Job]:
    """Return what `worker` could claim."""
    return (
        await database.write(
            lambda tx: claims.claim(
                tx, worker=worker, lane=lane, slots=slots, lease=lease, cursor=cursor
            )
        )
    ).jobs


async def make_due(database: Database, job: Job) -> None:
    """Let the time come that `job` waits for."""
    due = sa.update(tables.jobs).where(tables.jobs.c.id == job.id)
    await database.write(lambda tx: tx.execute(due.values(run_at=now(LONG_AGO))))


async def run_one(database: Database, account_id: str, **changes: Any) -> Job:
    """Return a job queued and claimed now."""
    queued = await queue(database, account_id, **changes)
    found = {job.id: job for job in await claim(database)}
    return found[queued.id]


def only(results: Sequence[T | Exception]) -> T:
    """Return the one result of a write that takes many, or raise it."""
    (result,) = results
    if isinstance(result, Exception):
        raise result
    return result


def send(tx: Connection, claim: Claim, provider: str = "fake") -> Attempt:
    """Open an attempt."""
    return only(attempts.send_all(tx, [(claim, provider)]))


def keep_ticket(tx: Connection, attempt_id: str, ticket: str) -> bool:
    """Store a provider's handle."""
    return only(attempts.keep_tickets(tx, [(attempt_id, ticket)]))


def park(
    tx: Connection, claim: Claim, *, check_at: datetime, wakes: int, stage: str, progress: float
) -> Job:
    """Leave a job with its provider."""
    after = check_at - datetime.now(UTC)
    return moves.park(tx, moves.Parking(claim, after, wakes, stage, progress))


def succeed(tx: Connection, claim: Claim, *, cost_micros: int | None) -> Job:
    """Finish a job by its open attempt, which is sent now where there is none."""
    attempt = attempts.current(tx, claim.job_id) or send(tx, claim)
    job = only(moves.succeed_all(tx, [moves.Finish(claim.job_id, attempt.id, cost_micros)]))
    attempts.succeed_all(tx, [(attempt.id, cost_micros)])
    return job


def close(
    tx: Connection,
    attempt_id: str,
    outcome: Outcome,
    ground: Ground = Ground.VERDICT,
    *,
    cost_micros: int | None = None,
) -> bool:
    """Close an attempt; by default, its provider has said how it ended."""
    return attempts.close(tx, attempt_id, Closing(outcome, ground, cost_micros=cost_micros))


def report(tx: Connection, claim: Claim, *, percent: float, stage: str) -> Job:
    """Say how far a job is."""
    return only(moves.progress_all(tx, [moves.Progress(claim, percent, stage)]))


def claim_of(job: Job) -> Claim:
    """Return the right to write that comes with a claimed job."""
    return Claim(job.id, job.fence)


def reread(tx: Connection, job: Job) -> Job:
    """Return the job's row as it is now."""
    found = store.get(tx, job.account_id, job.id)
    assert found is not None
    return found


def asset_row(account_id: str, **changes: Any) -> NewAsset:
    """Return the row of a private picture that nobody else has."""
    asset_id = ids.new("asset")
    row = {
        "id": asset_id,
        "account_id": account_id,
        "kind": AssetKind.IMAGE,
        "name": "photo.jpg",
        "key": None,
        "original_key": f"kept/{asset_id}",
        "media_type": "image/jpeg",
        "bytes": 1000,
        "width": 640,
        "height": 480,
        "sha256": "00" * 32,
        "facts": {},
        "renditions": {},
        **changes,
    }
    return cast("NewAsset", row)


async def keep(database: Database, account_id: str, **changes: Any) -> Asset:
    """Return an asset made now."""
    row = asset_row(account_id, **changes)
    return (await database.write(lambda tx: asset_store.insert(tx, [row])))[0]


class FullStorage(DiskStorage):
    """Storage that has room for one more object."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._is_full = False

    async def put(self, key: str, source: Path | bytes) -> None:
        if self._is_full:
            raise StorageFailed
        await super().put(key, source)
        self._is_full = True


async def sweep_later(database: Database, assets: Assets) -> None:
    """Remove the objects that nobody has claimed in time."""
    overdue = sa.update(tables.loose_objects).values(until=now())
    await database.write(lambda tx: tx.execute(overdue))
    await assets.sweep()
