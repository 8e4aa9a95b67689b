"""The first account, credentials and sessions: made once, found by their secret, ended at once."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import pytest

from safelight.accounts.account import Caller, Credential
from safelight.accounts.authentication import Authenticator
from safelight.accounts.errors import KeyEnded, Unauthenticated
from safelight.accounts.keys import Keys
from safelight.accounts.scopes import MEMBER_SCOPES, OWNER_SCOPES
from safelight.accounts.service import Accounts
from safelight.accounts.sessions import Sessions
from safelight.db.engine import Database, Work
from safelight.doorbell import doorbell
from safelight.doorbell.memory import MemoryDoorbell
from safelight.errors import NotFound
from safelight.worker.upkeep.key_use import KeyUse
from tests import factories
from tests.servers import wait_until_async

DAY = timedelta(days=1)
T = TypeVar("T")


class SlowReads:
    """A database whose answers to single queries come late."""

    def __init__(self, database: Database) -> None:
        self.url = database.url
        self._db = database
        self.has_read = asyncio.Event()
        self.may_return = asyncio.Event()

    async def look(self, work: Work[T]) -> T:
        found = await self._db.look(work)
        self.has_read.set()
        await self.may_return.wait()
        return found

    async def read(self, work: Work[T]) -> T:
        return await self._db.read(work)

    async def write(self, work: Work[T]) -> T:
        return await self._db.write(work)

    async def close(self) -> None:
        await self._db.close()


@dataclass(frozen=True)
class Door:
    """The services that let callers of one account in."""

    account: str
    authenticator: Authenticator
    keys: Keys
    sessions: Sessions


@pytest.fixture
async def door(database: Database) -> Door:
    account = await Accounts(database).ensure_first("local")
    known = Authenticator(database)
    return Door(account.id, known, Keys(database, known), Sessions(database, known))


async def test_ensure_first_when_several_start_at_once_makes_one(database: Database) -> None:
    accounts = Accounts(database)
    made = await asyncio.gather(*(accounts.ensure_first("local") for _ in range(8)))
    assert len({account.id for account in made}) == 1


async def test_authenticate_when_the_key_is_wrong_or_over_refuses(
    door: Door, database: Database
) -> None:
    over = await factories.new_key(database, door.account, valid_for=timedelta(seconds=-1))
    for secret in ("", "sk_nobody", "x" * 10_000, over):
        with pytest.raises(Unauthenticated):
            await door.authenticator.authenticate(secret)


async def test_session_when_closed_opens_nothing_more(door: Door) -> None:
    session = await door.sessions.redeem(
        await door.sessions.login_token(door.account, OWNER_SCOPES)
    )
    caller = await door.authenticator.authenticate(session, Credential.SESSION)
    assert caller.scopes == OWNER_SCOPES
    await door.sessions.close(caller.key_id)
    with pytest.raises(Unauthenticated):
        await door.authenticator.authenticate(session, Credential.SESSION)


async def test_login_link_when_made_by_a_lesser_key_opens_no_more_than_that_key(door: Door) -> None:
    session = await door.sessions.redeem(
        await door.sessions.login_token(door.account, MEMBER_SCOPES)
    )
    caller = await door.authenticator.authenticate(session, Credential.SESSION)
    assert caller.scopes == MEMBER_SCOPES


async def test_login_link_when_used_twice_at_once_opens_one_session(door: Door) -> None:
    token = await door.sessions.login_token(door.account, OWNER_SCOPES)
    tried = await asyncio.gather(
        *(door.sessions.redeem(token) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(each, str) for each in tried) == 1
    assert sum(isinstance(each, Unauthenticated) for each in tried) == 4


async def test_credentials_when_of_another_kind_are_refused(door: Door) -> None:
    key = (await door.keys.create(door.account, "key")).secret
    session = await door.sessions.open(key)
    link = await door.sessions.login_token(door.account, OWNER_SCOPES)
    for secret, right in ((key, Credential.KEY), (session, Credential.SESSION), (link, None)):
        for kind in (Credential.KEY, Credential.SESSION):
            if kind is right:
                await door.authenticator.authenticate(secret, kind)
            else:
                with pytest.raises(Unauthenticated):
                    await door.authenticator.authenticate(secret, kind)
    for secret in (key, session):
        with pytest.raises(Unauthenticated):
            await door.sessions.redeem(secret)
    for secret in (session, link):
        with pytest.raises(Unauthenticated):
            await door.sessions.open(secret)


async def test_key_when_revoked_is_refused_at_once_here_and_at_the_ring_elsewhere(
    door: Door, database: Database
) -> None:
    elsewhere = Authenticator(database)
    issued = await door.keys.create(door.account, "key")
    for process in (door.authenticator, elsewhere):
        await process.authenticate(issued.secret)
    await door.keys.revoke(door.account, issued.key.id, actor="key_owner")
    with pytest.raises(Unauthenticated):
        await door.authenticator.authenticate(issued.secret)
    elsewhere.forget_all()  # as at the ring
    with pytest.raises(Unauthenticated):
        await elsewhere.authenticate(issued.secret)


async def test_lookup_when_the_key_is_revoked_meanwhile_is_not_kept(
    door: Door, database: Database
) -> None:
    issued = await door.keys.create(door.account, "key")
    slow = SlowReads(database)
    known = Authenticator(slow)
    async with asyncio.TaskGroup() as group:
        group.create_task(known.authenticate(issued.secret))
        await slow.has_read.wait()
        await Keys(database, known).revoke(door.account, issued.key.id, actor="key_owner")
        slow.may_return.set()
    with pytest.raises(Unauthenticated):
        await known.authenticate(issued.secret)


@pytest.mark.parametrize("way", ["key", "login link"])
async def test_session_when_the_key_that_opened_it_ends_ends_with_it(door: Door, way: str) -> None:
    issued = await door.keys.create(door.account, "key")
    caller = await door.authenticator.authenticate(issued.secret)
    token = await door.sessions.login_token(door.account, caller.scopes, root_id=caller.root_id)
    opened = door.sessions.open(issued.secret) if way == "key" else door.sessions.redeem(token)
    session = await opened
    late = await door.sessions.login_token(door.account, caller.scopes, root_id=caller.root_id)
    signed_in = await door.authenticator.authenticate(session, Credential.SESSION)
    assert await door.authenticator.still_valid([caller, signed_in]) == {caller, signed_in}
    await door.keys.revoke(door.account, issued.key.id, actor="key_owner")
    assert await door.authenticator.still_valid([caller, signed_in]) == set()
    with pytest.raises(Unauthenticated):
        await door.authenticator.authenticate(session, Credential.SESSION)
    with pytest.raises(Unauthenticated):
        await door.sessions.redeem(late)


async def test_session_when_opened_by_the_link_of_a_session_lasts_as_long_as_that_one_may(
    door: Door,
) -> None:
    issued = await door.keys.create(door.account, "key")
    session = await door.authenticator.authenticate(
        await door.sessions.open(issued.secret), Credential.SESSION
    )
    assert session.root_id == issued.key.id
    free = await door.sessions.redeem(await door.sessions.login_token(door.account, OWNER_SCOPES))
    assert (await door.authenticator.authenticate(free, Credential.SESSION)).root_id is None


async def test_key_when_expired_or_unknown_may_not_stay(door: Door, database: Database) -> None:
    await factories.new_key(database, door.account, valid_for=timedelta(seconds=-1))
    (over,) = await door.keys.page(door.account, before=None, limit=9)
    gone = Caller(door.account, "key_unknown", MEMBER_SCOPES)
    ended = Caller(door.account, over.id, MEMBER_SCOPES)
    assert await door.authenticator.still_valid([gone, ended]) == set()


async def test_key_when_rotated_keeps_its_rights_and_ends_after_the_overlap(door: Door) -> None:
    old = await door.keys.create(door.account, "shop", scopes=MEMBER_SCOPES, rate_per_s=5)
    new = await door.keys.rotate(door.account, old.key.id, overlap=DAY, actor=old.key.id)
    assert (new.key.name, new.key.scopes, new.key.rate_per_s) == ("shop", MEMBER_SCOPES, 5)
    for secret in (old.secret, new.secret):
        await door.authenticator.authenticate(secret)
    again = await door.keys.rotate(door.account, old.key.id, overlap=timedelta(), actor=old.key.id)
    with pytest.raises(Unauthenticated):
        await door.authenticator.authenticate(old.secret)
    await door.authenticator.authenticate(again.secret)
    with pytest.raises(KeyEnded):
        await door.keys.rotate(door.account, old.key.id, overlap=DAY, actor=old.key.id)


async def test_key_when_it_expires_keeps_its_end_and_its_successor_its_lifetime(door: Door) -> None:
    short = timedelta(minutes=1)
    old = await door.keys.create(door.account, "shop", valid_for=short)
    new = await door.keys.rotate(door.account, old.key.id, overlap=DAY, actor=old.key.id)
    assert (await door.keys.get(door.account, old.key.id)).expires_at == old.key.expires_at
    assert new.key.expires_at is not None
    lifetime = new.key.expires_at - new.key.created_at
    assert abs(lifetime - short) < timedelta(seconds=1)  # the clock is read twice


async def test_key_when_used_keeps_when_and_from_where(door: Door) -> None:
    issued = await door.keys.create(door.account, "key")
    await door.authenticator.authenticate(issued.secret, address="192.0.2.7")
    await door.authenticator.record_use()
    used = await door.keys.get(door.account, issued.key.id)
    assert used.last_used_at is not None
    assert used.last_used_from == "192.0.2.7"
    door.authenticator.forget(issued.key.id)
    await door.authenticator.authenticate(issued.secret, address="192.0.2.8")
    await door.authenticator.record_use()  # within the minute
    assert (await door.keys.get(door.account, issued.key.id)).last_used_from == "192.0.2.7"


async def test_key_when_of_another_account_does_not_exist(door: Door, database: Database) -> None:
    other = await factories.new_account(database)
    issued = await door.keys.create(other, "theirs")
    for tried in (
        door.keys.get(door.account, issued.key.id),
        door.keys.revoke(door.account, issued.key.id, actor="key_owner"),
        door.keys.rotate(door.account, issued.key.id, overlap=DAY, actor="key_owner"),
    ):
        with pytest.raises(NotFound):
            await tried
    await door.authenticator.authenticate(issued.secret)


async def test_credentials_when_one_ends_in_another_process_are_looked_up_again_at_its_ring(
    database: Database,
) -> None:
    account = await factories.new_account(database)
    bell = MemoryDoorbell()
    there = Authenticator(database, lambda: bell.ring(doorbell.CREDENTIALS))
    here = Authenticator(database)
    issued = await Keys(database, there).create(account, "key")
    await here.authenticate(issued.secret, address="192.0.2.7")

    async def is_refused() -> bool:
        try:
            await here.authenticate(issued.secret)
        except Unauthenticated:
            return True
        return False

    async with asyncio.TaskGroup() as group:
        running = group.create_task(KeyUse(here, bell).run())
        await asyncio.sleep(0)  # it listens from its first step
        assert not await is_refused()
        await Keys(database, there).revoke(account, issued.key.id, actor="key_owner")
        await wait_until_async(is_refused, 2)  # known, it would work for 5 s
        running.cancel()
