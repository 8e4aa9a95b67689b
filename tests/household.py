"""A whole server in this process, with an account that has one of everything, and a stranger."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import sqlalchemy as sa

from safelight.accounts.account import Caller, Credential, Visibility
from safelight.accounts.scopes import OWNER_SCOPES, Role, Scope
from safelight.app import Safelight, open_safelight
from safelight.assets.asset import Asset
from safelight.assets.intake import Origin
from safelight.db import tables
from safelight.db.engine import Database, open_database
from safelight.jobs.job import Job
from safelight.jobs.ledger import batch_store, moves
from safelight.notifications.contact import Channel
from safelight.providers.provider import Kind, MediaFile
from safelight.settings import Settings
from safelight.worker.senders.webhooks import fan_out
from tests import documented, factories, pictures, solids
from tests.factories import claim_of

HOOK = "https://hooks.example/safelight"
KEPT = "kept-by-the-owner"  # in all that its owner names, so that it shows where it leaks
_ACTOR = "key_owner"


@dataclass(frozen=True)
class Household:
    """The server, its database, and by short names what the owner has."""

    safelight: Safelight
    database: Database
    folder: Path
    owner: str
    stranger: str
    things: Mapping[str, str]

    @asynccontextmanager
    async def client(
        self, account_id: str, *scopes: Scope, kind: Credential = Credential.KEY
    ) -> AsyncIterator[httpx2.AsyncClient]:
        """A client that sends a new credential of an account as its API key; no scopes, none."""
        headers: dict[str, str] = {}
        if scopes:
            key = await factories.new_key(self.database, account_id, frozenset(scopes), kind=kind)
            headers["Authorization"] = f"Bearer {key}"
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(self.safelight.asgi, raise_app_exceptions=False),
            base_url="http://127.0.0.1",
            headers=headers,
            event_hooks={"response": [documented.check]},
        ) as client:
            yield client

    async def rows(self) -> dict[str, set[str]]:
        """Return all rows that are not the stranger's, by table, and all objects, as text."""

        def read(tx: sa.Connection) -> dict[str, set[str]]:
            return {
                table.name: self._rows_of(tx, table)
                for table in tables.metadata.sorted_tables
                if table is not tables.throttles  # which count what is refused
            }

        found = await self.database.read(read)
        objects = self.folder / "objects"
        files = [path for path in objects.rglob("*/*/*") if path.is_file()]  # but for probes
        return found | {"objects": {f"{path} {path.stat().st_mtime_ns}" for path in files}}

    def _rows_of(self, tx: sa.Connection, table: sa.Table) -> set[str]:
        query = sa.select(table)
        if "account_id" in table.c:
            query = query.where(table.c.account_id != self.stranger)
        elif table is tables.accounts:
            query = query.where(table.c.id != self.stranger)
        return {repr(row) for row in tx.execute(query)}


@asynccontextmanager
async def household(folder: Path) -> AsyncIterator[Household]:
    """Open the server on an empty folder. Nobody runs its jobs."""
    settings = Settings(
        data_dir=folder,
        fake_provider=True,
        min_free_bytes=0,
        deleted_kept_days=7,
        public_url="https://safelight.test",
        mail_url="smtp://127.0.0.1:9",  # pyright: ignore[reportArgumentType]  made a secret
        mail_from="news@example.com",
    )
    async with open_safelight(settings) as safelight:
        database = open_database(f"sqlite:///{folder / 'safelight.db'}")
        try:
            owner, stranger = [await factories.new_account(database) for _ in range(2)]
            furnishing = _Furnishing(safelight, database, folder, owner)
            await furnishing.all()
            things = furnishing.things
            yield Household(safelight, database, folder, owner, stranger, things)
        finally:
            await database.close()


class _Furnishing:
    def __init__(self, safelight: Safelight, database: Database, folder: Path, owner: str) -> None:
        self.things: dict[str, str] = {"account": owner}
        self._safelight = safelight
        self._services = safelight.services
        self._database = database
        self._folder = folder
        self._owner = owner

    async def all(self) -> None:
        await self._batches()
        await self._assets()
        await self._told()
        await self._secrets()
        await self._people()

    # --- jobs --------------------------------------------------------------------------------

    async def _batches(self) -> None:
        done = await self._batch("done", tried=True)
        await self._database.write(lambda tx: factories.succeed(tx, claim_of(done), cost_micros=7))
        await self._output(done, "output", visibility=Visibility.PRIVATE)
        for name in ("failed", "bad"):
            job = await self._batch(name, tried=True)
            await self._database.write(
                lambda tx, job=job: moves.fail(tx, claim_of(job), error=factories.PROBLEM)
            )
        gone = await self._batch("old", tried=True)
        await self._database.write(lambda tx: factories.succeed(tx, claim_of(gone), cost_micros=7))
        for name in ("open", "waiting"):  # last, or the claims above would bring them
            await self._batch(name, tried=False)

    async def _batch(self, name: str, *, tried: bool) -> Job:
        row = factories.batch_row(self._owner, name=KEPT)
        batch = await self._database.write(lambda tx: batch_store.insert(tx, row))
        job = await factories.queue(
            self._database,
            self._owner,
            batch_id=batch.id,
            batch_index=0,
            prompt=KEPT,
            kind=Kind.TEXT_TO_IMAGE,
            webhook_url=HOOK,
        )
        if tried:
            (job,) = await factories.claim(self._database)
        self.things |= {f"batch {name}": batch.id, f"job {name}": job.id}
        return job

    # --- assets ------------------------------------------------------------------------------

    async def _assets(self) -> None:
        for name in ("public", "doomed", "held", "restorable", "purgeable"):
            await self._picture(name)
        await self._picture("private", visibility=Visibility.PRIVATE)
        model = self._folder / "model.glb"
        solids.write_scene(model, solids.plain((1.0, 0.0, 0.0, 1.0)))
        media = MediaFile(model, "model/gltf-binary", name=f"{KEPT}.glb")
        row = await self._services.entry.intake.keep_media(media, Origin(self._owner), 0)
        self._note("model", await self._services.assets.add(row))
        await self._services.assets.hold(self._owner, self.things["asset held"], KEPT, actor=_ACTOR)
        for name in ("restorable", "purgeable"):
            await self._services.trash.put(self._owner, self.things[f"asset {name}"], actor=_ACTOR)

    async def _picture(self, name: str, **origin: Any) -> None:
        path = self._folder / f"{name}.png"
        path.write_bytes(pictures.picture("png", 60, 40))
        row = await self._services.entry.intake.keep_picture(
            path, Origin(self._owner, **origin), sanitize=True, name=f"{KEPT}.png"
        )
        self._note(name, await self._services.assets.add(row))

    async def _output(self, job: Job, name: str, **origin: Any) -> None:
        await self._picture(name, job_id=job.id, prompt=KEPT, external_id=KEPT, **origin)

    def _note(self, name: str, asset: Asset) -> None:
        self.things |= {
            f"asset {name}": asset.id,
            f"key {name}": asset.key or "",
            f"original {name}": asset.original_key,
        }

    # --- who is told -------------------------------------------------------------------------

    async def _told(self) -> None:
        for name in ("endpoint", "endpoint gone"):
            made = await self._services.webhooks.create(
                self._owner, url=f"{HOOK}/{KEPT}", wanted=["*"], thin=False
            )
            self.things[name] = made.id
            self.things[f"secret of {name}"] = made.secret
        await self._database.write(fan_out)
        for name in ("contact", "contact gone"):
            address = f"{name.replace(' ', '-')}@example.com"
            made = await self._services.contacts.create(
                self._owner, Channel.EMAIL, address, wanted=None, digest=False
            )
            self.things |= {name: made.id, f"code of {name}": made.code}
            self.things |= {f"token of {name}": made.token}
        sent = await self._services.webhooks.test(self._owner, self.things["endpoint"])
        self.things["delivery"] = sent.id

    async def _secrets(self) -> None:
        services = self._services
        self.things["account gone"] = await factories.new_account(self._database)
        self.things["signing key"] = await services.files.signatures.key_of(self._owner)
        default = await services.webhooks.default(self._owner)
        self.things["secret of default"] = default.secret
        for name in ("API key", "API key gone"):
            issued = await services.access.keys.create(self._owner, KEPT)
            self.things |= {name: issued.key.id, f"secret of {name}": issued.secret}
        address = await services.callback_addresses.of("fake", "att_1")
        assert address is not None
        self.things["callback token"] = address.rpartition("/")[2]

    async def _people(self) -> None:
        owner = Caller(self._owner, _ACTOR, OWNER_SCOPES)
        identity = self._services.identity
        for name, role in (("admin", Role.ADMIN), ("member", Role.MEMBER), ("gone", Role.MEMBER)):
            made = await identity.people.create(
                owner,
                f"{name}-{KEPT}@example.com",
                password=None,
                is_operator=False,
                account_id=self._owner,
                role=role,
            )
            user = made.person.user
            self.things["member gone" if name == "gone" else name] = user.id
        signed_in = await identity.logins.enter(user, None)
        self.things["secret of session"] = signed_in.session
        session = await self._services.access.authenticator.authenticate(
            signed_in.session, Credential.SESSION
        )
        self.things["session"] = session.key_id
        invited = await identity.members.invite(owner, f"invited-{KEPT}@example.com", Role.VIEWER)
        self.things["invitation"] = invited.invitation.id
