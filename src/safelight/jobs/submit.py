"""Submits jobs and batches: validated, stored, then answered.

Services never ring the doorbell: their callers do, after the commit.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safelight import ids
from safelight.assets import store as asset_store
from safelight.assets.asset import Asset, AssetKind, NewAsset
from safelight.db import Connection
from safelight.db.coalesced import Coalesced
from safelight.db.engine import Database
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
from safelight.jobs.job import Job, NewBatch, NewJob, Plan
from safelight.jobs.ledger import batch_store, idempotency, job_events, store
from safelight.jobs.params import complete_params
from safelight.providers.provider import Kind, Model, Role
from safelight.providers.registry import Registry


@dataclass(frozen=True, slots=True)
class Repeat:
    """A request's idempotency key and fingerprint."""

    key: str
    mark: str


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job or batch that a submit created, now or before if `replayed`; `lanes` to ring."""

    subject: str
    lanes: frozenset[str] = frozenset()
    replayed: bool = False
    job: Job | None = None  # if just created, to save reading it again


@dataclass(frozen=True, slots=True)
class Refused:
    """A rejected item of a batch: its name, and the problem document."""

    name: str
    problem: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Asked:
    """The criteria for choosing a model."""

    account_id: str
    kind: Kind
    model: str | None
    params: Mapping[str, Any]
    inputs: Sequence[JobInput] = ()


@dataclass(frozen=True, slots=True)
class _New:
    """A job about to be queued."""

    row: NewJob
    repeat: Repeat | None
    inputs: Sequence[JobInput] = ()


class Submitter:
    """Submits jobs; every call names the requesting account."""

    def __init__(self, database: Database, registry: Registry, *, max_attempts: int) -> None:
        self._db = database
        self._registry = registry
        self._max_attempts = max_attempts
        # A caller waits for the response, so the write is not delayed for coalescing.
        self._submit: Coalesced[_New, Submitted] = Coalesced(database, _submit_all, pace_s=0)

    async def generate(
        self, account_id: str, wanted: Generate, repeat: Repeat | None = None
    ) -> Submitted:
        """Queue the generation of a picture from a prompt, and from references, if any."""
        kind = Kind.IMAGE_TO_IMAGE if wanted.references else Kind.TEXT_TO_IMAGE
        asked = _Asked(account_id, kind, wanted.model, wanted.all_params(), wanted.inputs)
        row = self._row(asked, self._choices(asked), wanted)
        row["prompt"] = wanted.prompt
        row["inputs"] = [one.entry() for one in wanted.inputs]
        row["webhook_url"], row["notify"] = wanted.webhook_url, wanted.notify
        return await self._submit(_New(row, repeat, wanted.inputs))

    async def import_one(
        self, account_id: str, wanted: ImportImages, repeat: Repeat | None = None
    ) -> Submitted:
        """Queue the import of one URL, which the caller has validated."""
        row = self._import(account_id, wanted)
        row["source_url"] = wanted.url or ""
        row["webhook_url"], row["notify"] = wanted.webhook_url, wanted.notify
        return await self._submit(_New(row, repeat))

    async def import_many(
        self,
        account_id: str,
        wanted: ImportImages,
        items: Sequence[ImportItem | Refused],
        repeat: Repeat | None = None,
    ) -> Submitted:
        """Queue a batch of imports; rejected items become problems of the batch."""
        batch = _batch_row(account_id, Kind.IMPORT_IMAGE, wanted)
        batch["problems"] = [
            {"index": index, "name": item.name, "problem": dict(item.problem)}
            for index, item in enumerate(items)
            if isinstance(item, Refused)
        ]
        common = self._import(account_id, wanted)
        rows: list[NewJob] = [
            {
                **common,
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
        pictures: Sequence[NewAsset],
        repeat: Repeat | None = None,
    ) -> Submitted:
        """Queue a batch with one job per picture; `pictures` are rows of stored assets."""
        items = [
            NewBatchItem(image=picture["id"], name=picture["name"], params=wanted.params)
            for picture in pictures
        ]
        batch, rows = self._batch_3d(account_id, wanted, wanted.model, items)
        return await self._submit_batch(account_id, batch, rows, pictures, repeat)

    async def make_3d_of(
        self, account_id: str, wanted: MakeBatch, repeat: Repeat | None = None
    ) -> Submitted:
        """Queue a batch with one job per item, from stored pictures or URLs."""
        items = wanted.whole_items()
        batch, rows = self._batch_3d(account_id, wanted, wanted.model, items)

        def check(tx: Connection) -> None:
            for index, (item, row) in enumerate(zip(items, rows, strict=True)):
                pictures = _owned(tx, account_id, item.inputs, f"items.{index}")
                row["name"] = item.name or next((one.name for one in pictures), "")

        return await self._submit_batch(account_id, batch, rows, [], repeat, check)

    def _batch_3d(
        self, account_id: str, wanted: Submission, model: str | None, items: Sequence[NewBatchItem]
    ) -> tuple[NewBatch, list[NewJob]]:
        batch = _batch_row(account_id, Kind.IMAGE_TO_3D, wanted)
        rows: list[NewJob] = []
        for index, item in enumerate(items):
            asked = _Asked(account_id, Kind.IMAGE_TO_3D, model, item.params, item.inputs)
            # Computed per item, so that each gets its own random seed.
            row = self._row(asked, self._choices(asked), wanted)
            row["inputs"], row["name"] = [one.entry() for one in item.inputs], item.name
            row["batch_id"], row["batch_index"] = batch["id"], index
            rows.append(row)
        return batch, rows

    def check_3d(self, account_id: str, wanted: UploadBatch) -> None:
        """Raise for an unknown model or invalid params, before any file is stored."""
        self._choices(_Asked(account_id, Kind.IMAGE_TO_3D, wanted.model, wanted.params))

    async def once(
        self,
        account_id: str,
        repeat: Repeat | None,
        submit: Callable[[], Awaitable[Submitted]],
    ) -> Submitted:
        """Submit; a repeated request that fails now but succeeded before gets its first response.

        Models, contacts and limits can change in between. Checking only after a failure saves all
        other requests a query.
        """
        try:
            return await submit()
        except SafelightError:
            made = await self.made_before(account_id, repeat)
            if made is None:
                raise
            return made

    async def made_before(self, account_id: str, repeat: Repeat | None) -> Submitted | None:
        """Return what this request created before, or None; its files need not be stored again."""
        if repeat is None:
            return None
        return await self._db.read(lambda tx: _found(tx, account_id, repeat))

    async def _submit_batch(
        self,
        account_id: str,
        batch: NewBatch,
        rows: list[NewJob],
        pictures: Sequence[NewAsset],
        repeat: Repeat | None,
        check: Callable[[Connection], None] | None = None,
    ) -> Submitted:
        def write(tx: Connection) -> Submitted:
            if made := _found(tx, account_id, repeat):
                return made
            for row in rows[:1]:  # all rows have the same times
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

    def _row(self, asked: "_Asked", choices: Sequence[Plan], wanted: Submission) -> NewJob:
        return {
            **choices[0],
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

    def _import(self, account_id: str, wanted: ImportImages) -> NewJob:
        asked = _Asked(account_id, Kind.IMPORT_IMAGE, None, {})
        return self._row(asked, self._choices(asked), wanted)

    def _choices(self, asked: "_Asked") -> list[Plan]:
        """Return the row's columns for the model and for its fallbacks.

        Of an alias's models, those that accept the params; raises the first error if none does.
        """
        found: list[Plan] = []
        refusals: list[InvalidRequest] = []
        for model in self._registry.candidates(asked.kind, asked.model, asked.account_id):
            try:
                found.append(self._choice(model, asked))
            except InvalidRequest as error:
                refusals.append(error)
        if not found:
            raise refusals[0]
        return found

    def _choice(self, model: Model, asked: "_Asked") -> Plan:
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
    """Queue new requests; repeated ones get their first result, invalid ones their error."""
    answers: dict[str, Submitted | Exception] = {}
    # In a fixed order, so that two groups with the same keys cannot deadlock.
    for one in sorted(new, key=lambda one: one.repeat.key if one.repeat else ""):
        account_id, job_id = one.row["account_id"], one.row["id"]
        try:
            made = _found(tx, account_id, one.repeat)
            if made is None:
                _check_time(tx, one.row)
                _owned(tx, account_id, one.inputs)
                made = _made_before(tx, account_id, one.repeat, job_id)
        except SafelightError as error:
            answers[job_id] = error
        else:
            if made is not None:
                answers[job_id] = made
    queued = store.insert(tx, [one.row for one in new if one.row["id"] not in answers])
    for job in queued:
        answers[job.id] = Submitted(job.id, frozenset({job.lane}), job=job)
    return [answers[one.row["id"]] for one in new]


def _batch_row(account_id: str, kind: Kind, wanted: Submission) -> NewBatch:
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


def _check_time(tx: Connection, row: NewJob) -> None:
    """Raise `InvalidRequest` if `start_by` has already passed."""
    if row["start_by"] is not None and row["start_by"] <= clock(tx):
        raise InvalidRequest(errors=[{"field": "start_by", "message": "lies in the past"}])


def _owned(
    tx: Connection, account_id: str, wanted: Sequence[JobInput], field: str = ""
) -> list[Asset]:
    """Return the account's assets among the inputs; raise `InvalidRequest` for a missing one."""
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
    """Return what the request created before, or None; raise if its key belongs to another."""
    if repeat is None:
        return None
    subject = idempotency.find(tx, account_id, repeat.key, repeat.mark)
    return None if subject is None else Submitted(subject, replayed=True)


def _made_before(
    tx: Connection, account_id: str, repeat: Repeat | None, subject: str
) -> Submitted | None:
    """Store the request's key for `subject`, or return what a concurrent repeat created."""
    if repeat is None or idempotency.keep(tx, account_id, repeat.key, repeat.mark, subject):
        return None
    return _found(tx, account_id, repeat)
