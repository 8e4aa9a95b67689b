"""The first account and its keys: made once, found by their secret, ended at once."""

import asyncio
from datetime import timedelta

import pytest

from safelight.accounts.account import OWNER_SCOPES, Scope
from safelight.accounts.errors import Unauthenticated
from safelight.accounts.service import Accounts
from safelight.db.engine import Database


async def test_ensure_first_when_several_start_at_once_makes_one(database: Database) -> None:
    accounts = Accounts(database)
    made = await asyncio.gather(*(accounts.ensure_first("local") for _ in range(8)))
    assert len({account.id for account in made}) == 1


async def test_authenticate_when_the_key_is_wrong_or_over_refuses(database: Database) -> None:
    accounts = Accounts(database)
    account = await accounts.ensure_first("local")
    over = await accounts.new_key(account.id, "over", valid_for=timedelta(seconds=-1))
    for secret in ("", "sk_nobody", "x" * 10_000, over):
        with pytest.raises(Unauthenticated):
            await accounts.authenticate(secret)


async def test_session_when_closed_opens_nothing_more(database: Database) -> None:
    accounts = Accounts(database)
    account = await accounts.ensure_first("local")
    token = await accounts.login_token(account.id)
    assert (await accounts.authenticate(token)).scopes == {Scope.LOGIN}
    session = await accounts.open_session(token)
    caller = await accounts.authenticate(session)
    assert caller.scopes == set(OWNER_SCOPES)
    await accounts.close_session(caller.key_id)
    with pytest.raises(Unauthenticated):
        await accounts.authenticate(session)
