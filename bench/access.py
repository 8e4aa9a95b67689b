"""CPU time of an authentication: known already, and looked up."""

import time

from bench.components import Components
from bench.table import Row
from safelight.accounts import key_store, store
from safelight.accounts.account import Credential, new_secret
from safelight.accounts.authentication import Authenticator
from safelight.accounts.key_store import NewKey
from safelight.accounts.scopes import MEMBER_SCOPES
from safelight.db.engine import Database, open_database
from safelight.db.migrate import migrate

_KEYS = 200
_ROUNDS = 5  # the best counts


async def access(ground: Components) -> list[Row]:
    """Measure with each database; the time of PostgreSQL's own processes is not in it."""
    rows: list[Row] = []
    for name, url in (
        ("SQLite", f"sqlite:///{ground.folder / 'access.db'}"),
        ("PostgreSQL", ground.postgres.new_database()),
    ):
        database = open_database(url)
        try:
            await migrate(database)
            rows.append({"database": name, **await _measure(database)})
        finally:
            await database.close()
    return rows


async def _measure(database: Database) -> dict[str, float]:
    account = await database.write(lambda tx: store.insert_account(tx, "bench"))
    secrets = [new_secret(Credential.KEY) for _ in range(_KEYS)]
    for secret in secrets:
        new = NewKey(account.id, Credential.KEY, "bench", secret, MEMBER_SCOPES)
        await database.write(lambda tx, new=new: key_store.insert(tx, new))
    authenticator = Authenticator(database)
    known: list[float] = []
    looked_up: list[float] = []
    for _ in range(_ROUNDS):
        authenticator.forget_all()
        looked_up.append(await _each_us(authenticator, secrets))
        known.append(await _each_us(authenticator, secrets))
    return {"looked up, us": min(looked_up), "known, us": min(known)}


async def _each_us(authenticator: Authenticator, secrets: list[str]) -> float:
    began = time.process_time()
    for secret in secrets:
        await authenticator.authenticate(secret)
    return (time.process_time() - began) / len(secrets) * 1e6
