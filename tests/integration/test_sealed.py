"""Secrets in rows: unreadable in the database, readable with its keys, and moved to a new one."""

import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from safelight.accounts import secrets
from safelight.app import open_offline
from safelight.backup import back_up, restore
from safelight.cli.failure import BadUse
from safelight.cli.sealing import rotate
from safelight.configured import seal
from safelight.db import sealed
from safelight.db.engine import Database, open_database
from safelight.db.sealed import SEALED, UNSEALED, Seal, SecretUnreadable
from safelight.db.tables import contacts, endpoints, metadata
from safelight.db.tables import secrets as secrets_table
from safelight.errors import SettingInvalid
from safelight.identity import store as people
from safelight.notifications import store as contact_store
from safelight.settings import Settings
from safelight.webhooks import endpoint_store
from tests import factories

OLD, NEW = os.urandom(32), os.urandom(32)
PLAIN = "whsec_of-a-test"
TOLD = "code-of-a-test"
TOTP = "JBSWY3DPEHPK3PXP"


@asynccontextmanager
async def opened(url: str, *keys: bytes) -> AsyncIterator[Database]:
    database = open_database(url, Seal(keys))
    try:
        yield database
    finally:
        await database.close()


async def furnish(database: Database) -> tuple[str, str, bytes]:
    """Store one secret in each table; return the account, the endpoint and the signing secret."""
    account = await factories.new_account(database)
    endpoint = await database.write(
        lambda tx: endpoint_store.insert(
            tx,
            account,
            url="https://a.example",
            events=["*"],
            secret="old",  # noqa: S106
        )
    )
    await database.write(lambda tx: endpoint_store.rotate(tx, endpoint.id, secret=PLAIN))
    await database.write(lambda tx: endpoint_store.ensure_default(tx, account, secret=PLAIN))
    contact = await database.write(
        lambda tx: contact_store.insert(
            tx, account, channel="email", address="a@b.example", events=[], digest=False
        )
    )
    await database.write(lambda tx: contact_store.give_code(tx, contact.id, TOLD))
    user = await database.write(lambda tx: people.insert(tx, "ann@example.com", password=""))
    assert user is not None
    await database.write(lambda tx: people.change(tx, user.id, totp_secret=TOTP))
    return account, endpoint.id, await database.write(lambda tx: secrets.ensure(tx, "signing"))


async def is_intact(database: Database, account: str, endpoint_id: str, signing: bytes) -> bool:
    """Return whether all secrets are read as they were stored."""

    def read(tx: sa.Connection) -> bool:
        endpoint = endpoint_store.get(tx, account, endpoint_id)
        default = endpoint_store.find_default(tx, account)
        (contact,) = contact_store.all_of(tx, account)
        assert endpoint is not None
        assert default is not None
        user = people.find_by_email(tx, "ann@example.com")
        assert user is not None
        told = (endpoint.secret, endpoint.old_secret, default.secret, contact.code)
        is_right = told == (PLAIN, "old", PLAIN, TOLD) and user.totp_secret == TOTP
        return is_right and secrets.find(tx, "signing") == signing

    return await database.read(read)


async def stored(database: Database) -> list[str | bytes]:
    """Return all secrets as they stand in the rows."""

    def read(tx: sa.Connection) -> list[str | bytes]:
        return [
            value
            for table, names in SEALED.items()
            for row in tx.execute(sa.select(*(table.c[name] for name in names)))
            for value in row
            if value
        ]

    return await database.read(read)


async def test_secrets_when_there_is_a_key_are_unreadable_in_the_database(
    migrated_database_url: str,
) -> None:
    async with opened(migrated_database_url, OLD) as database:
        kept = await furnish(database)
        assert await is_intact(database, *kept)
        values = await stored(database)
        assert len(values) == 7
        for value in values:
            text = value.decode() if isinstance(value, bytes) else value
            assert text.startswith("sealed:1:")
            assert PLAIN not in text
        assert await database.read(sealed.count_old) == 0


async def test_secrets_when_a_key_is_new_are_moved_to_it_in_bounded_steps(
    migrated_database_url: str,
) -> None:
    async with opened(migrated_database_url) as database:
        kept = await furnish(database)
        assert await database.read(sealed.count_old) is None
    for keys in ((OLD,), (NEW, OLD)):
        async with opened(migrated_database_url, *keys) as database:
            assert await is_intact(database, *kept), "old values are read before they are moved"
            assert await database.read(sealed.count_old) == 5
            counts: list[int] = []
            for table in SEALED:
                while count := await database.write(
                    lambda tx, table=table: sealed.reseal(tx, table, limit=1)
                ):
                    counts.append(count)
            assert counts == [1, 1, 1, 1, 1]
            assert await database.read(sealed.count_old) == 0
    async with opened(migrated_database_url, NEW) as database:
        assert await is_intact(database, *kept)


async def test_secrets_when_their_key_is_missing_say_which(migrated_database_url: str) -> None:
    async with opened(migrated_database_url, OLD) as database:
        account, *_ = await furnish(database)
    for keys in ((), (NEW,)):
        async with opened(migrated_database_url, *keys) as database:
            with pytest.raises(SecretUnreadable, match="SAFELIGHT_ENCRYPTION_KEY lacks the key"):
                await database.read(lambda tx: endpoint_store.of_accounts(tx, [account]))


async def test_secret_when_copied_to_another_row_or_changed_does_not_open(
    migrated_database_url: str,
) -> None:
    async with opened(migrated_database_url, OLD) as database:
        account, endpoint_id, _ = await furnish(database)

        def swap(tx: sa.Connection) -> None:
            other = sa.select(endpoints.c.secret).where(endpoints.c.url == "").scalar_subquery()
            change = sa.update(endpoints).where(endpoints.c.id == endpoint_id)
            tx.execute(change.values(secret=other))

        await database.write(swap)
        with pytest.raises(SecretUnreadable, match=f"{endpoint_id}: the stored value is damaged"):
            await database.read(lambda tx: endpoint_store.get(tx, account, endpoint_id))


async def test_command_when_run_moves_secrets_and_a_backup_is_restored_with_the_same_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAFELIGHT_DATA_DIR", str(tmp_path / "data"))
    async with open_offline(Settings(), create=True) as kept:
        owned = await furnish(kept.database)
    with pytest.raises(BadUse, match="openssl rand"):
        await rotate()
    monkeypatch.setenv("SAFELIGHT_ENCRYPTION_KEY", base64.b64encode(OLD).decode())
    await rotate()
    assert capsys.readouterr().out.startswith("5 secrets")
    async with open_offline(Settings()) as kept:
        assert await is_intact(kept.database, *owned)
        with (tmp_path / "backup.tar").open("wb") as file:
            await back_up(kept.database, kept.storage, file, kept.scratch)
    assert PLAIN.encode() not in (tmp_path / "backup.tar").read_bytes()
    monkeypatch.setenv("SAFELIGHT_DATA_DIR", str(tmp_path / "other"))
    async with open_offline(Settings(), create=True) as kept:
        await restore(kept.database, kept.storage, tmp_path / "backup.tar", kept.scratch)
        assert await is_intact(kept.database, *owned)


@pytest.mark.parametrize("key", ["short", "AAAA", "!!", base64.b64encode(b"x" * 33).decode()])
def test_key_when_malformed_is_named_and_not_told(key: str) -> None:
    with pytest.raises(SettingInvalid, match="SAFELIGHT_ENCRYPTION_KEY: give 32 bytes") as caught:
        seal(Settings(encryption_key=SecretStr(key)))
    assert key not in str(caught.value)


@pytest.mark.parametrize("rest", ["", "A", "AAAA", "!!", "A" * 400])
def test_value_when_damaged_does_not_open(rest: str) -> None:
    sealing = Seal([OLD])
    with pytest.raises(SecretUnreadable, match="damaged"):
        sealing.open(sealing.current + rest.encode(), "endpoints:x")


def test_value_when_there_is_no_key_stays_as_it_is() -> None:
    assert UNSEALED.close(b"x", "p") == b"x"
    assert UNSEALED.open(b"x", "p") == b"x"


def test_columns_when_they_are_called_secret_are_sealed() -> None:
    """Or they hold a hash, or nothing secret: the list says which."""
    harmless = {("contacts", "code_until"), ("endpoints", "old_secret_until")}
    named = {
        (table.name, column.name)
        for table in metadata.sorted_tables
        for column in table.columns
        if any(word in column.name for word in ("secret", "token", "password", "code"))
        and not column.name.endswith("hash")
    }
    covered = {(table.name, name) for table, names in SEALED.items() for name in names}
    known = {("contacts", "codes"), ("start_rates", "tokens"), ("users", "password"), *harmless}
    assert named - covered - known == set()
    assert {contacts, endpoints, secrets_table} <= SEALED.keys()
