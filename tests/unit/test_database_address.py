"""PostgreSQL URLs as people have them: each parameter is translated, or refused by its name."""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from safelight.db.address import check_address, postgres_address


@pytest.mark.parametrize(
    ("query", "taken"),
    [
        ("", {}),
        ("sslmode=require", {"sslmode": "require"}),
        ("ssl=verify-full", {"sslmode": "verify-full"}),
        ("channel_binding=prefer&gssencmode=disable", {}),
        ("application_name=media", {"application_name": "media"}),
        ("options=-c%20search_path%3Dmedia", {"options": "-c search_path=media"}),
        ("target_session_attrs=read-write", {"target_session_attrs": "read-write"}),
        ("host=/run/postgresql", {"host": "/run/postgresql"}),
    ],
)
def test_parameter_when_the_driver_knows_it_is_translated(
    query: str, taken: dict[str, str]
) -> None:
    found = postgres_address(f"postgres://me:p%40ss@db.example.com/media?{query}")
    parts = urlsplit(found.dsn)
    assert (parts.scheme, parts.netloc) == ("postgresql", "me:p%40ss@db.example.com")
    assert dict(parse_qsl(parts.query)) == taken
    assert found.timeout_s is None
    assert "p%40ss" not in repr(found)


def test_timeout_when_given_becomes_the_driver_s() -> None:
    found = postgres_address("postgresql://h/d?connect_timeout=10")
    assert (found.timeout_s, urlsplit(found.dsn).query) == (10, "")


def test_certificate_when_given_must_exist(tmp_path: Path) -> None:
    root = tmp_path / "root.crt"
    with pytest.raises(ValueError, match="`sslrootcert`: there is no file"):
        check_address(f"postgresql://h/d?sslmode=verify-full&sslrootcert={root}")
    root.touch()
    check_address(f"postgresql://h/d?sslmode=verify-full&sslrootcert={root}")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://one:5432,two:5433/media",
        "postgresql://[::1]:5432/media",
        "postgresql:///media?host=/run/postgresql",
        "postgresql://%2Frun%2Fpostgresql/media",
        "postgresql+asyncpg://me@h:5432/media",
    ],
)
def test_hosts_when_several_or_unusual_are_taken(url: str) -> None:
    check_address(url)


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("postgresql://h/d?channel_binding=require", "channel_binding"),
        ("postgresql://h/d?gssencmode=require", "gssencmode"),
        ("postgresql://h/d?keepalives_idle=10", "keepalives_idle"),
        ("postgresql://h/d?prepared_statement_cache_size=0", "prepared_statement_cache_size"),
        ("postgresql://h/d?sslmode=on", "sslmode"),
        ("postgresql://h/d?connect_timeout=soon", "connect_timeout"),
        ("postgresql://h/d?connect_timeout=0", "connect_timeout"),
        ("postgresql://h/d?sslrootcert=system", "sslrootcert"),
        ("postgresql://me:hunter2@h:port/d", "name:port"),
        ("postgresql://me:hunter2@h:99999/d", "name:port"),
    ],
)
def test_parameter_when_the_driver_lacks_it_is_refused_by_name(url: str, named: str) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        check_address(url)
    assert "hunter2" not in str(caught.value)
