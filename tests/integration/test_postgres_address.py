"""PostgreSQL at the addresses that people have: parameters reach it, poolers are recognized."""

from pathlib import Path

import pytest

from safelight.app import open_safelight
from safelight.db.engine import open_database
from safelight.db.pooler import refuse_transaction_pooling
from safelight.doorbell.open import open_doorbell
from safelight.errors import SettingInvalid
from safelight.settings import Settings
from tests.pooler import pooling
from tests.servers import PostgresServer, free_port


def _setting(name: str) -> str:
    return f"SELECT current_setting('{name}')"


async def test_parameters_when_given_reach_the_server(postgres_server: PostgresServer) -> None:
    options = "-c%20search_path%3Dmedia%20-c%20statement_timeout%3D4321"
    url = (
        f"{postgres_server.create_database()}?sslmode=disable&connect_timeout=7"
        f"&application_name=media&channel_binding=prefer&options={options}"
        "&target_session_attrs=read-write"
    )
    database = open_database(url)
    try:
        found = [
            await database.read(lambda tx, name=name: tx.exec_driver_sql(_setting(name)).scalar())
            for name in ("application_name", "search_path", "statement_timeout")
        ]
    finally:
        await database.close()
    assert found == ["media", "media", "4321ms"]
    async with open_doorbell(url) as bell:
        await bell.check()


async def test_hosts_when_the_first_is_down_the_next_is_used(
    postgres_server: PostgresServer,
) -> None:
    own = f"127.0.0.1:{postgres_server.port}"
    url = postgres_server.create_database()
    database = open_database(url.replace(own, f"127.0.0.1:{free_port()},{own}"))
    try:
        assert await database.read(lambda tx: tx.exec_driver_sql("SELECT 1").scalar()) == 1
    finally:
        await database.close()


async def test_server_when_it_is_a_transaction_pooler_is_refused_at_start(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    direct = f"{postgres_server.create_database()}?sslmode=disable"
    await refuse_transaction_pooling(direct, "X")
    async with pooling(postgres_server.port) as port:
        url = direct.replace(f":{postgres_server.port}/", f":{port}/")
        settings = Settings(data_dir=tmp_path / "data", database_url=url)
        with pytest.raises(SettingInvalid, match=r"SAFELIGHT_DATABASE_URL.*transaction mode"):
            async with open_safelight(settings):
                pass
        rings = Settings(data_dir=tmp_path / "data", database_url=direct, doorbell_url=url)
        with pytest.raises(SettingInvalid, match=r"SAFELIGHT_DOORBELL_URL.*transaction mode"):
            async with open_safelight(rings):
                pass


async def test_server_when_it_is_down_is_left_to_the_first_transaction() -> None:
    await refuse_transaction_pooling(f"postgresql://127.0.0.1:{free_port()}/x", "X")
    await refuse_transaction_pooling("sqlite:///x.db", "X")
