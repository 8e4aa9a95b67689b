"""The first account and its keys: made once, found by their secret, ended at once."""

import asyncio
from datetime import timedelta

import pytest

from safelight.accounts.account import OWNER_SCOPES, Credential
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
    session = await accounts.redeem_login(await accounts.login_token(account.id))
    caller = await accounts.authenticate(session, Credential.SESSION)
    assert caller.scopes == set(OWNER_SCOPES)
    await accounts.close_session(caller.key_id)
    with pytest.raises(Unauthenticated):
        await accounts.authenticate(session, Credential.SESSION)


async def test_login_link_when_used_twice_at_once_opens_one_session(database: Database) -> None:
    accounts = Accounts(database)
    token = await accounts.login_token((await accounts.ensure_first("local")).id)
    tried = await asyncio.gather(
        *(accounts.redeem_login(token) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(each, str) for each in tried) == 1
    assert sum(isinstance(each, Unauthenticated) for each in tried) == 4


async def test_credentials_when_of_another_kind_are_refused(database: Database) -> None:
    accounts = Accounts(database)
    account = await accounts.ensure_first("local")
    key = await accounts.new_key(account.id, "key")
    session = await accounts.open_session(key)
    link = await accounts.login_token(account.id)
    for secret, right in ((key, Credential.KEY), (session, Credential.SESSION), (link, None)):
        for kind in (Credential.KEY, Credential.SESSION):
            if kind is right:
                await accounts.authenticate(secret, kind)
            else:
                with pytest.raises(Unauthenticated):
                    await accounts.authenticate(secret, kind)
    for secret in (key, session):
        with pytest.raises(Unauthenticated):
            await accounts.redeem_login(secret)
    for secret in (session, link):
        with pytest.raises(Unauthenticated):
            await accounts.open_session(secret)
