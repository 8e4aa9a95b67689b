"""Takes new work in: a prompt, addresses, or a batch of pictures; stored before it is answered.

A service never rings the doorbell: the edge does, after the commit that it sees here.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safelight import ids
from safelight.assets import store as asset_store
from safelight.assets.asset import Asset, AssetKind
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.db.grouped import Grouped
from safelight.db.types import clock
from safelight.errors import InvalidRequest, SafelightError
from safelight.jobs.bodies import (
    Generate,
    ImportImages,
    ImportItem,
    MakeBatch,
    NewBatchItem,
    Submission,
    UploadBatch,
)
from safelight.jobs.inputs import JobInput, check_inputs
from safelight.jobs.job import Job
from safelight.jobs.ledger import batch_store, idempotency, job_events, store
from safelight.jobs.params import complete_params
from safelight.providers.provider import Kind, Model, Role
from safelight.providers.registry import Registry


@dataclass(frozen=True, slots=True)
class Repeat:
    """How a caller marks a request that may be sent twice: its key, and what the request was."""

    key: str
    mark: str


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a submit made, or made before when `replayed`; `lanes` have new work to be rung for."""

    subject: str
    lanes: frozenset[str] = frozenset()
    replayed: bool = False
    job: Job | None = None  # where one was made just now, so that it need not be read again


@dataclass(frozen=True, slots=True)
class Refused:
    """One item of a batch that cannot be taken: how people know it, and the problem document."""

    name: str
    problem: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What decides on the model: who asks for which kind, by which name, with what."""

    account_id: str
    kind: Kind
    model: str | None
    params: Mapping[str, Any]
    inputs: Sequence[JobInput] = ()


@dataclass(frozen=True, slots=True)
class _New:
    """One job about to be queued."""

    row: dict[str, Any]
    repeat: Repeat | None
    inputs: Sequence[JobInput] = ()


class Submits:
    """Queues jobs for every account; each call names the account that asks."""

    def __init__(self, database: Database, registry: Registry, *, max_attempts: int) -> None:
        self._db = database
        self._registry = registry
        self._max_attempts = max_attempts
        # Somebody waits for this answer, so it is not held back for company.
        self._submit: Grouped[_New, Submitted] = Grouped(database, _submit_all, pace_s=0)

    async def generate(
        self, account_id: str, wanted: Generate, repeat: Repeat | None = None
    ) -> Submitted:
        """Queue a picture to be made from a prompt, and from references where there are any."""
        kind = Kind.IMAGE_TO_IMAGE if wanted.references else Kind.TEXT_TO_IMAGE
        asked = _Asked(account_id, kind, wanted.model, wanted.all_params(), wanted.inputs)
        row = self._row(asked, self._choices(asked), wanted)
        row |= {"prompt": wanted.prompt, "inputs": [one.entry() for one in wanted.inputs]}
        row |= {"webhook_url": wanted.webhook_url, "notify": wanted.notify}
        return await self._submit(_New(row, repeat, wanted.inputs))

    async def import_one(
        self, account_id: str, wanted: ImportImages, repeat: Repeat | None = None
    ) -> Submitted:
        """Queue the download of one address, already found to be well-formed."""
        row = self._import(account_id, wanted)
        row |= {
            "source_url": wanted.url,
            "webhook_url": wanted.webhook_url,
            "notify": wanted.notify,
        }
        return await self._submit(_New(row, repeat))

    async def import_many(
        self,
        account_id: str,
        wanted: ImportImages,
        items: Sequence[ImportItem | Refused],
        repeat: Repeat | None = None,
    ) -> Submitted:
        """Queue a batch of downloads; those refused are problems of the batch from the start."""
        batch = _batch_row(account_id, Kind.IMPORT_IMAGE, wanted) | {
            "problems": [
                {"index": index, "name": item.name, "problem": dict(item.problem)}
                for index, item in enumerate(items)
                if isinstance(item, Refused)
            ]
        }
        common = self._import(account_id, wanted)
        rows = [
            common
            | {
                "id": ids.new("job"),
                "source_url": item.url,
                "name": item.name,
                "external_id": item.external_id,
                "tags": item.tags,
                "metadata": item.metadata,
                "batch_id": batch["id"],
                "batch_index": index,
            }
            for index, item in enumerate(items)
            if isinstance(item, ImportItem)
        ]
        return await self._submit_batch(account_id, batch, rows, [], repeat)

    async def make_3d(
        self,
        account_id: str,
        wanted: UploadBatch,
        pictures: Sequence[Mapping[str, Any]],
        repeat: Repeat | None = None,
    ) -> Submitted:
        """Queue a batch of one job a picture; `pictures` are asset rows whose bytes are stored."""
        items = [
            NewBatchItem(image=picture["id"], name=picture["name"], params=wanted.params)
            for picture in pictures
        ]
        batch, rows = self._batch_3d(account_id, wanted, wanted.model, items)
        return await self._submit_batch(account_id, batch, rows, pictures, repeat)

    async def make_3d_of(
        self, account_id: str, wanted: MakeBatch, repeat: Repeat | None = None
    ) -> Submitted:
        """Queue a batch of one job an item, of pictures that are kept or at an address."""
        items = wanted.whole_items()
        batch, rows = self._batch_3d(account_id, wanted, wanted.model, items)

        def check(tx: Connection) -> None:
            for index, (item, row) in enumerate(zip(items, rows, strict=True)):
                pictures = _owned(tx, account_id, item.inputs, f"items.{index}")
                row["name"] = item.name or next((one.name for one in pictures), "")

        return await self._submit_batch(account_id, batch, rows, [], repeat, check)

    def _batch_3d(
        self, account_id: str, wanted: Submission, model: str | None, items: Sequence[NewBatchItem]
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        batch = _batch_row(account_id, Kind.IMAGE_TO_3D, wanted)
        rows: list[dict[str, Any]] = []
        for index, item in enumerate(items):
            asked = _Asked(account_id, Kind.IMAGE_TO_3D, model, item.params, item.inputs)
            # Chosen anew for each: where no seed is given, each picture draws its own.
            row = self._row(asked, self._choices(asked), wanted)
            row |= {"inputs": [one.entry() for one in item.inputs], "name": item.name}
            rows.append(row | {"batch_id": batch["id"], "batch_index": index})
        return batch, rows

    def check_3d(self, account_id: str, wanted: UploadBatch) -> None:
        """Raise for an unknown model or params that it does not take, before any file is stored."""
        self._choices(_Asked(account_id, Kind.IMAGE_TO_3D, wanted.model, wanted.params))

    async def once(
        self,
        account_id: str,
        repeat: Repeat | None,
        submit: Callable[[], Awaitable[Submitted]],
    ) -> Submitted:
        """Submit; a request that would be refused now but was taken before is answered as then.

        Models and contacts go, and limits change. To look only after a refusal spares all others
        a query.
        """
        try:
            return await submit()
        except SafelightError:
            made = await self.made_before(account_id, repeat)
            if made is None:
                raise
            return made

    async def made_before(self, account_id: str, repeat: Repeat | None) -> Submitted | None:
        """Return what this very request made before, so that its files need no keeping."""
        if repeat is None:
            return None
        return await self._db.read(lambda tx: _found(tx, account_id, repeat))

    async def _submit_batch(
        self,
        account_id: str,
        batch: dict[str, Any],
        rows: list[dict[str, Any]],
        pictures: Sequence[Mapping[str, Any]],
        repeat: Repeat | None,
        check: Callable[[Connection], None] | None = None,
    ) -> Submitted:
        def write(tx: Connection) -> Submitted:
            if made := _found(tx, account_id, repeat):
                return made
            for row in rows[:1]:  # all have the same times
                _check_time(tx, row)
            if check:
                check(tx)
            if made := _made_before(tx, account_id, repeat, batch["id"]):
                return made
            asset_store.insert(tx, pictures)
            batch_store.insert(tx, batch)
            store.insert(tx, rows)
            if not rows:
                job_events.finish_if_empty(tx, batch["id"])
            return Submitted(batch["id"], frozenset(row["lane"] for row in rows))

        return await self._db.write(write)

    def _row(
        self, asked: "_Asked", choices: Sequence[dict[str, Any]], wanted: Submission
    ) -> dict[str, Any]:
        return choices[0] | {
            "id": ids.new("job"),
            "account_id": asked.account_id,
            "kind": asked.kind,
            "fallbacks": list(choices[1:]),
            "inputs": [],
            "name": wanted.name,
            "external_id": wanted.external_id,
            "tags": wanted.tags,
            "metadata": wanted.metadata,
            "priority": wanted.priority,
            "visibility": wanted.visibility,
            "keep_s": wanted.keep_s,
            "run_at": wanted.start_at,
            "start_by": wanted.start_by,
        }

    def _import(self, account_id: str, wanted: ImportImages) -> dict[str, Any]:
        asked = _Asked(account_id, Kind.IMPORT_IMAGE, None, {})
        return self._row(asked, self._choices(asked), wanted)

    def _choices(self, asked: "_Asked") -> list[dict[str, Any]]:
        """Return what a job's row says of its model, and of those that it may fall back to.

        Of an alias's models those count that take the params; raises for the first if none does.
        """
        found: list[dict[str, Any]] = []
        refusals: list[InvalidRequest] = []
        for model in self._registry.candidates(asked.kind, asked.model, asked.account_id):
            try:
                found.append(self._choice(model, asked))
            except InvalidRequest as error:
                refusals.append(error)
        if not found:
            raise refusals[0]
        return found

    def _choice(self, model: Model, asked: "_Asked") -> dict[str, Any]:
        check_inputs(model, asked.inputs)
        params = complete_params(model, asked.params)
        return {
            "model": model.id,
            "provider": model.provider,
            "params": params,
            "lane": model.lane,
            "timeout_s": model.timeout.total_seconds(),
            "repeatable": model.repeatable,
            "max_attempts": self._max_attempts,
            "estimate_micros": model.price.micros(params) if model.price else None,
        }


def _submit_all(tx: Connection, new: Sequence[_New]) -> list[Submitted | Exception]:
    """Queue what is new; each request that is not gets what it made before, or its own error."""
    settled: dict[str, Submitted | Exception] = {}
    # In one order everywhere, so that two groups with the same keys cannot wait for each other.
    for one in sorted(new, key=lambda one: one.repeat.key if one.repeat else ""):
        account_id, job_id = one.row["account_id"], one.row["id"]
        try:
            made = _found(tx, account_id, one.repeat)
            if made is None:
                _check_time(tx, one.row)
                _owned(tx, account_id, one.inputs)
                made = _made_before(tx, account_id, one.repeat, job_id)
        except SafelightError as error:
            settled[job_id] = error
        else:
            if made is not None:
                settled[job_id] = made
    queued = store.insert(tx, [one.row for one in new if one.row["id"] not in settled])
    for job in queued:
        settled[job.id] = Submitted(job.id, frozenset({job.lane}), job=job)
    return [settled[one.row["id"]] for one in new]


def _batch_row(account_id: str, kind: Kind, wanted: Submission) -> dict[str, Any]:
    return {
        "id": ids.new("batch"),
        "account_id": account_id,
        "kind": kind,
        "name": wanted.name,
        "problems": [],
        "tags": wanted.tags,
        "metadata": wanted.metadata,
        "webhook_url": wanted.webhook_url or "",
        "notify": wanted.notify,
    }


def _check_time(tx: Connection, row: Mapping[str, Any]) -> None:
    """Raise `InvalidRequest` where the job could only be too late."""
    if row["start_by"] is not None and row["start_by"] <= clock(tx):
        raise InvalidRequest(errors=[{"field": "start_by", "message": "lies in the past"}])


def _owned(
    tx: Connection, account_id: str, wanted: Sequence[JobInput], field: str = ""
) -> list[Asset]:
    """Return the account's pictures among what is `wanted`; raise for one that is not there."""
    found: list[Asset] = []
    for one in wanted:
        if not one.source.startswith(ids.PREFIXES["asset"]):
            continue
        asset = asset_store.get(tx, account_id, one.source)
        if asset is None or asset.kind is not AssetKind.IMAGE:
            place = field or ("mask" if one.role is Role.MASK else "references")
            raise InvalidRequest(
                errors=[{"field": place, "message": f"there is no picture {one.source}"}]
            )
        found.append(asset)
    return found


def _found(tx: Connection, account_id: str, repeat: Repeat | None) -> Submitted | None:
    """Return what the request made when it came before; raise where its key belongs to another."""
    if repeat is None:
        return None
    subject = idempotency.find(tx, account_id, repeat.key, repeat.mark)
    return None if subject is None else Submitted(subject, replayed=True)


def _made_before(
    tx: Connection, account_id: str, repeat: Repeat | None, subject: str
) -> Submitted | None:
    """Tie the request to `subject`, or return what it made when it came first."""
    if repeat is None or idempotency.keep(tx, account_id, repeat.key, repeat.mark, subject):
        return None
    return _found(tx, account_id, repeat)
