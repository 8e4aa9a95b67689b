"""Accounts that are opened, suspended, resumed and deleted: who is let in, and what is left."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import sqlalchemy as sa

from safelight.accounts.account import Account, Caller, Credential, Visibility
from safelight.accounts.authentication import Authenticator
from safelight.accounts.closed import ClosedAccounts
from safelight.accounts.errors import AccountSuspended, LastOperator, Unauthenticated
from safelight.accounts.key_store import operators
from safelight.accounts.lifecycle import Lifecycle
from safelight.accounts.scopes import ACCOUNT_SCOPES, MEMBER_SCOPES, OWNER_SCOPES
from safelight.accounts.service import Accounts
from safelight.accounts.sessions import Sessions
from safelight.assets import store as asset_store
from safelight.assets.errors import OnHold
from safelight.assets.lifecycle.trash import Trash
from safelight.assets.service import Assets
from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.types import now
from safelight.doorbell.memory import MemoryDoorbell
from safelight.errors import NotFound, ServiceError
from safelight.jobs.job import JobStatus, Outcome
from safelight.jobs.ledger import batch_store
from safelight.web.auth import COOKIE
from safelight.worker.senders.webhooks import fan_out
from safelight.worker.upkeep.departures import Departures
from tests import factories, pictures
from tests.factories import claim_of
from tests.household import Household

WHY = "Invoice 17 is unpaid."


@dataclass(frozen=True)
class Office:
    """The services for accounts, and their one operator."""

    authenticator: Authenticator
    lifecycle: Lifecycle
    by: Caller
    operator: str

    async def opened(self, name: str = "ann") -> tuple[Account, str]:
        """Return a new account, and the secret of its key."""
        made = await self.lifecycle.open(name, max_in_flight=None, by=self.by)
        return made.account, made.issued.secret


@pytest.fixture
async def office(database: Database) -> Office:
    operator = await factories.new_account(database, "operator")
    known = Authenticator(database)
    secret = await factories.new_key(database, operator, OWNER_SCOPES)
    lifecycle = Lifecycle(database, known, asset_store.check_account_free)
    return Office(known, lifecycle, await known.authenticate(secret), operator)


async def actions(database: Database, account_id: str) -> list[str]:
    """Return what the audit log of an account says, oldest first."""
    query = sa.select(tables.audit.c.action).where(tables.audit.c.account_id == account_id)
    return list(await database.read(lambda tx: tx.scalars(query.order_by(tables.audit.c.id)).all()))


# --- opened and suspended ------------------------------------------------------------------------


async def test_account_when_opened_has_a_key_for_everything_in_it(office: Office) -> None:
    account, secret = await office.opened()
    caller = await office.authenticator.authenticate(secret)
    assert (caller.account_id, caller.scopes) == (account.id, ACCOUNT_SCOPES)
    newest, oldest = await office.lifecycle.page(before=None, limit=9)
    assert (newest, oldest.id) == (account, office.operator)
    assert await office.lifecycle.page(before=newest.id, limit=9) == [oldest]


async def test_account_when_suspended_refuses_each_credential_until_it_is_resumed(
    office: Office, database: Database
) -> None:
    account, secret = await office.opened()
    sessions = Sessions(database, office.authenticator)
    session = await sessions.open(secret)
    caller = await office.authenticator.authenticate(secret)
    elsewhere = Authenticator(database)
    await office.lifecycle.suspend(account.id, "first", by=office.by)
    suspended = await office.lifecycle.suspend(account.id, WHY, by=office.by)
    assert suspended.suspended_at is not None
    for process in (office.authenticator, elsewhere):
        for each, kind in ((secret, Credential.KEY), (session, Credential.SESSION)):
            with pytest.raises(AccountSuspended, match=WHY):
                await process.authenticate(each, kind)
    assert await elsewhere.still_valid([caller, office.by]) == {office.by}
    assert (await office.lifecycle.resume(account.id, by=office.by)).suspended_at is None
    assert await elsewhere.authenticate(secret) == caller
    await office.lifecycle.resume(account.id, by=office.by)
    log = ["account.created", "account.suspended", "account.suspended", "account.resumed"]
    assert await actions(database, account.id) == log
    assert await actions(database, office.operator) == log


async def test_jobs_when_their_account_is_suspended_wait_and_running_ones_end_normally(
    office: Office, database: Database, account: str
) -> None:
    held, _ = await office.opened()
    running = await factories.queue(database, held.id)
    (running,) = await factories.claim(database)
    waiting = await factories.queue(database, held.id)
    other = await factories.queue(database, account)
    await office.lifecycle.suspend(held.id, WHY, by=office.by)
    assert [job.id for job in await factories.claim(database, slots=9)] == [other.id]
    done = await database.write(lambda tx: factories.succeed(tx, claim_of(running), cost_micros=1))
    assert done.status is JobStatus.SUCCEEDED
    assert await factories.claim(database, slots=9) == []
    await office.lifecycle.resume(held.id, by=office.by)
    assert [job.id for job in await factories.claim(database, slots=9)] == [waiting.id]


async def test_account_when_it_alone_can_run_the_installation_stays(
    office: Office, database: Database
) -> None:
    other, _ = await office.opened()
    for end in (
        lambda: office.lifecycle.suspend(office.operator, WHY, by=office.by),
        lambda: office.lifecycle.delete(office.operator, by=office.by),
    ):
        with pytest.raises(LastOperator):
            await end()
        await factories.new_key(database, other.id, OWNER_SCOPES, kind=Credential.SESSION)
        over = timedelta(seconds=-1)
        await factories.new_key(database, other.id, OWNER_SCOPES, valid_for=over)
        with pytest.raises(LastOperator):
            await end()
    await factories.new_key(database, other.id, OWNER_SCOPES)
    await office.lifecycle.suspend(office.operator, WHY, by=office.by)
    assert await database.read(operators) == {other.id}
    with pytest.raises(LastOperator):
        await office.lifecycle.delete(other.id, by=office.by)
    first = await Accounts(database).ensure_first("local")
    assert first.id == other.id, "a start makes its key for who can run the installation"


async def test_account_when_a_person_in_another_can_run_the_installation_may_end(
    office: Office, database: Database
) -> None:
    other, _ = await office.opened()
    person = sa.insert(tables.users).values(
        id="usr_1",
        email="a@example.com",
        email_key="a@example.com",
        is_operator=True,
        disabled_at=now(),
        created_at=now(),
    )
    member = sa.insert(tables.members).values(
        account_id=other.id, user_id="usr_1", role="admin", created_at=now()
    )
    for row in (person, member):
        await database.write(lambda tx, row=row: tx.execute(row))
    with pytest.raises(LastOperator):
        await office.lifecycle.delete(office.operator, by=office.by)
    enabled = sa.update(tables.users).values(disabled_at=None)
    await database.write(lambda tx: tx.execute(enabled))
    await office.lifecycle.delete(office.operator, by=office.by)


async def test_account_when_unknown_or_deleted_is_not_found(office: Office) -> None:
    gone, _ = await office.opened()
    await office.lifecycle.delete(gone.id, by=office.by)
    for account_id in (gone.id, "acc_unknown"):
        for tried in (
            office.lifecycle.suspend(account_id, WHY, by=office.by),
            office.lifecycle.resume(account_id, by=office.by),
            office.lifecycle.delete(account_id, by=office.by),
        ):
            with pytest.raises(NotFound, match="no such account"):
                await tried


# --- deleted -------------------------------------------------------------------------------------


@pytest.fixture
def departures(database: Database, assets: Assets, trash: Trash) -> Departures:
    return Departures(database, MemoryDoorbell(), assets, trash)


async def furnish(database: Database, account_id: str) -> None:
    """Give an account a row in every table that names one."""
    batch = await database.write(lambda tx: batch_store.insert(tx, factories.batch_row(account_id)))
    job = await factories.queue(database, account_id, batch_id=batch.id, batch_index=0)
    (job,) = await factories.claim(database)
    await database.write(lambda tx: factories.succeed(tx, claim_of(job), cost_micros=1))
    await factories.queue(database, account_id)
    await factories.claim(database)
    await factories.queue(database, account_id)
    await factories.keep(database, account_id, job_id=job.id)
    await factories.keep(database, account_id)
    rows = (
        sa.insert(tables.endpoints).values(
            id="whe_1",
            account_id=account_id,
            url="https://x",
            events=["*"],
            secret="s",  # noqa: S106
            created_at=now(),
        ),
        sa.insert(tables.contacts).values(
            id="con_1",
            account_id=account_id,
            channel="email",
            address="a@example.com",
            events=["*"],
            token="t",  # noqa: S106
            created_at=now(),
        ),
        sa.insert(tables.users).values(
            id="usr_1", email="a@example.com", email_key="a@example.com", created_at=now()
        ),
        sa.insert(tables.members).values(
            account_id=account_id, user_id="usr_1", role="admin", created_at=now()
        ),
        sa.insert(tables.invitations).values(
            id="inv_1",
            account_id=account_id,
            email="b@example.com",
            role="viewer",
            hash=b"h",
            mailed=True,
            created_at=now(),
            expires_at=now(),
        ),
        sa.insert(tables.idempotency).values(
            account_id=account_id, key="k", fingerprint="f", subject=job.id, created_at=now()
        ),
    )
    for row in rows:
        await database.write(lambda tx, row=row: tx.execute(row))
    await database.write(fan_out)


async def left(database: Database, account_id: str) -> set[str]:
    """Return the tables in which an account has rows."""

    def read(tx: sa.Connection) -> set[str]:
        named = [table for table in tables.metadata.sorted_tables if "account_id" in table.c]
        found = {
            table.name
            for table in named
            if tx.scalar(sa.select(sa.func.count()).where(table.c.account_id == account_id))
        }
        query = sa.select(tables.accounts.c.id).where(tables.accounts.c.id == account_id)
        return found | ({"accounts"} if tx.scalar(query) else set())

    return await database.read(read)


async def pass_an_hour(database: Database) -> None:
    late = sa.update(tables.accounts).where(tables.accounts.c.deleted_at.is_not(None))
    await database.write(lambda tx: tx.execute(late.values(deleted_at=now(timedelta(hours=-2)))))


async def test_account_when_deleted_is_refused_at_once_and_leaves_only_its_audit_log(
    office: Office, database: Database, assets: Assets, departures: Departures, account: str
) -> None:
    gone, secret = await office.opened()
    caller = await office.authenticator.authenticate(secret)
    await furnish(database, gone.id)
    other = await factories.queue(database, account)
    await office.lifecycle.delete(gone.id, by=office.by)
    with pytest.raises(Unauthenticated):
        await office.authenticator.authenticate(secret)
    assert await office.authenticator.still_valid([caller]) == set()
    assert [job.id for job in await factories.claim(database, slots=9)] == [other.id]
    await departures.round()
    await factories.sweep_later(database, assets)
    await departures.round()
    assert await left(database, gone.id) == {"audit", "accounts"}, "an upload may be under way"
    await pass_an_hour(database)
    await departures.round()
    assert await left(database, gone.id) == {"audit"}
    assert (await actions(database, gone.id))[0] == "account.created"
    assert "account.deleted" in await actions(database, gone.id)
    assert await actions(database, office.operator) == ["account.created", "account.deleted"]
    kept = await database.read(lambda tx: tx.scalar(sa.select(sa.func.count(tables.jobs.c.id))))
    assert kept == 1, "another account's job"


async def test_account_when_deleted_waits_for_the_provider_to_confirm_each_cancellation(
    office: Office, database: Database, departures: Departures
) -> None:
    gone, _ = await office.opened()
    await factories.queue(database, gone.id)
    (running,) = await factories.claim(database)
    attempt = await database.write(lambda tx: factories.send(tx, claim_of(running)))
    await office.lifecycle.delete(gone.id, by=office.by)
    await pass_an_hour(database)
    await departures.round()
    row = sa.select(tables.jobs.c.status).where(tables.jobs.c.id == running.id)
    assert await database.read(lambda tx: tx.scalar(row)) == "canceled"
    await database.write(lambda tx: factories.close(tx, attempt.id, Outcome.CANCELED))
    await departures.round()
    assert await left(database, gone.id) == {"audit"}


async def test_account_when_under_legal_hold_is_not_deleted(
    office: Office, database: Database, assets: Assets
) -> None:
    held, secret = await office.opened()
    asset = await factories.keep(database, held.id)
    await assets.hold(held.id, asset.id, "case 17", actor="key_admin")
    with pytest.raises(OnHold, match=asset.id):
        await office.lifecycle.delete(held.id, by=office.by)
    await assets.hold(held.id, asset.id, "", actor="key_admin")
    await Accounts(database).change(held.id, {"hold": "case 18"}, actor="key_admin")
    with pytest.raises(OnHold, match=held.id):
        await office.lifecycle.delete(held.id, by=office.by)
    await office.authenticator.authenticate(secret)
    await Accounts(database).change(held.id, {"hold": ""}, actor="key_admin")
    await office.lifecycle.delete(held.id, by=office.by)


# --- files ---------------------------------------------------------------------------------------


class AwayDatabase:
    """A database that can be away."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self.is_away = False

    def __getattr__(self, name: str) -> object:
        if self.is_away:
            raise ServiceError("away")
        return getattr(self._db, name)


async def test_closed_accounts_when_the_database_is_away_stay_as_known(
    office: Office, database: Database
) -> None:
    away = AwayDatabase(database)
    closed = ClosedAccounts(away)  # pyright: ignore[reportArgumentType]  a double
    account, _ = await office.opened()
    await office.lifecycle.suspend(account.id, WHY, by=office.by)
    away.is_away = True
    with pytest.raises(ServiceError):
        await closed.check_open("acc_other")
    away.is_away = False
    await closed.check_open("acc_other")
    away.is_away = True
    closed.forget()
    await closed.check_open("acc_other")
    with pytest.raises(AccountSuspended) as refused:
        await closed.check_open(account.id)
    assert WHY not in refused.value.detail, "the reason is for the account's callers"


@pytest.fixture
async def operator(home: Household) -> AsyncIterator[httpx2.AsyncClient]:
    async with home.client(home.owner, *OWNER_SCOPES) as client:
        yield client


async def uploaded(home: Household, account_id: str, visibility: Visibility) -> dict[str, str]:
    async with home.client(account_id, *MEMBER_SCOPES) as client:
        made = await client.post(
            "/v1/uploads",
            files={"file": ("a.png", pictures.picture("png", 60, 40))},
            data={"visibility": visibility.value},
        )
        assert made.status_code == 201, made.text
        variant = await client.get(f"/v1/assets/{made.json()['id']}/renditions?w=10")
        return {"whole": made.json()["url"], "variant": variant.json()["url"]}


def path_of(url: str) -> str:
    return url.removeprefix("https://safelight.test")


async def test_account_when_suspended_over_http_is_refused_with_the_reason_and_its_signed_urls_too(
    home: Household, operator: httpx2.AsyncClient
) -> None:
    made = (await operator.post("/v1/admin/accounts", json={"name": "ann"})).json()
    account_id, key = made["account"]["id"], made["key"]["key"]
    assert made["key"]["scopes"] == sorted(scope.value for scope in ACCOUNT_SCOPES)
    private = await uploaded(home, account_id, Visibility.PRIVATE)
    public = await uploaded(home, account_id, Visibility.PUBLIC)
    signed = [*private.values(), public["variant"]]
    async with home.client(account_id) as anybody:
        for url in (*signed, public["whole"]):
            assert (await anybody.get(path_of(url))).status_code == 200
        at = f"/v1/admin/accounts/{account_id}"
        suspended = await operator.post(f"{at}/suspend", json={"reason": WHY})
        assert suspended.json()["suspended_for"] == WHY
        for url in signed:
            refused = await anybody.get(path_of(url))
            assert (refused.status_code, refused.json()["code"]) == (403, "account_suspended")
            assert WHY not in refused.text
        assert (await anybody.get(path_of(public["whole"]))).status_code == 200, "it is permanent"
        headers = {"Authorization": f"Bearer {key}"}
        refused = await anybody.get("/v1/jobs", headers=headers)
        assert (refused.status_code, refused.json()["detail"]) == (403, WHY)
        refused = await anybody.post("/v1/session", json={"key": key})
        assert (refused.status_code, refused.json()["code"]) == (403, "account_suspended")
        cookie = {"Cookie": f"{COOKIE}={key}"}
        assert (await anybody.get("/v1/jobs", headers=cookie)).status_code == 401
        assert (await operator.post(f"{at}/resume")).json()["suspended_at"] is None
        assert (await anybody.get("/v1/jobs", headers=headers)).status_code == 200
        for url in signed:
            assert (await anybody.get(path_of(url))).status_code == 200


async def test_account_when_deleted_over_http_is_unknown_and_its_signed_urls_too(
    home: Household, operator: httpx2.AsyncClient
) -> None:
    made = (await operator.post("/v1/admin/accounts", json={"name": "bob"})).json()
    account_id = made["account"]["id"]
    private = await uploaded(home, account_id, Visibility.PRIVATE)
    at = f"/v1/admin/accounts/{account_id}"
    assert (await operator.delete(at)).status_code == 204
    async with home.client(account_id) as anybody:
        for url in private.values():
            assert (await anybody.get(path_of(url))).status_code == 404
        headers = {"Authorization": f"Bearer {made['key']['key']}"}
        assert (await anybody.get("/v1/jobs", headers=headers)).status_code == 401
    for refused in (
        await operator.get(at),
        await operator.patch(at, json={"max_in_flight": 1}),
        await operator.post(f"{at}/suspend", json={"reason": WHY}),
        await operator.delete(at),
    ):
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    listed = (await operator.get("/v1/admin/accounts?limit=200")).json()["data"]
    assert account_id not in [each["id"] for each in listed]


async def test_signed_url_when_its_account_is_another_is_refused(home: Household) -> None:
    private = await uploaded(home, home.stranger, Visibility.PRIVATE)
    asked = parse_qs(urlsplit(private["whole"]).query)
    assert asked["account"] == [home.stranger]
    async with home.client(home.owner) as anybody:
        changed = path_of(private["whole"]).replace(home.stranger, home.owner)
        refused = await anybody.get(changed)
        assert (refused.status_code, refused.json()["code"]) == (403, "signature_invalid")


@pytest.mark.parametrize("name", ["", " ", "a\r\nBcc: x@example.com", "a\tb", "a\u2028b", "a\x00"])
@pytest.mark.parametrize("path", ["/v1/admin/accounts", "/v1/keys"])
async def test_name_when_it_is_not_one_line_of_text_is_refused(
    operator: httpx2.AsyncClient, path: str, name: str
) -> None:
    refused = await operator.post(path, json={"name": name})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert [error["field"] for error in refused.json()["errors"]] == ["name"]
