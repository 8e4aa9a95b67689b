"""Reads database URLs as people have them: `sqlite:///PATH`, or PostgreSQL's with its parameters.

asyncpg reads most of libpq's parameters. Those that it would send to the server as a setting are
translated here, or refused by name: a security parameter is never dropped in silence.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import sqlalchemy as sa

_POSTGRES = ("postgresql", "postgres", "postgresql+asyncpg")
_HOST = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[^\s\[\]:,/?#@]+)?(?::(?P<port>\d{1,5}))?")
_FILES = frozenset({"passfile", "sslcert", "sslkey", "sslrootcert", "sslcrl"})
_TAKEN = _FILES | {
    *("host", "port", "dbname", "user", "password", "target_session_attrs"),
    *("sslpassword", "ssl_min_protocol_version", "ssl_max_protocol_version", "sslnegotiation"),
    *("application_name", "options"),
}
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_HARMLESS = {"channel_binding": ("disable", "prefer"), "gssencmode": ("disable", "prefer")}


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A URL that asyncpg takes, and the seconds to connect within, if it says so."""

    dsn: str = field(repr=False)
    timeout_s: float | None = None


def is_postgres(url: str) -> bool:
    """Return whether a URL is PostgreSQL's."""
    return urlsplit(url).scheme in _POSTGRES


def check_address(url: str) -> None:
    """Raise `ValueError` if `url` is no database that can be opened; secrets are not repeated."""
    if is_postgres(url):
        postgres_address(url)
        return
    parts = urlsplit(url)
    if parts.scheme != "sqlite":
        scheme = parts.scheme or "no scheme"
        raise ValueError(f"it must start with `postgresql://` or `sqlite:///`, not with {scheme!r}")
    folder = Path(unquote(parts.path)[1:]).parent
    if parts.netloc or parts.path in ("", "/") or parts.query:
        raise ValueError("give the file's path alone, as in `sqlite:////srv/safelight.db`")
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")


def postgres_address(url: str) -> PostgresAddress:
    """Return a PostgreSQL URL in asyncpg's terms; raise `ValueError` with the reason."""
    parts = urlsplit(url)
    _check_hosts(parts.netloc.rpartition("@")[2])
    query: dict[str, str] = {}
    timeout_s: float | None = None
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in ("sslmode", "ssl"):
            query["sslmode"] = _ssl_mode(name, value)
        elif name == "connect_timeout":
            timeout_s = _seconds(name, value)
        elif name in _TAKEN:
            query[name] = value
        elif value not in _HARMLESS.get(name, ()):
            raise ValueError(_refusal(name, value))
    for name in sorted(_FILES & query.keys()):
        if not Path(query[name]).is_file():
            raise ValueError(f"`{name}`: there is no file {query[name]!r}")
    dsn = urlunsplit(parts._replace(scheme="postgresql", query=urlencode(query), fragment=""))
    return PostgresAddress(dsn, timeout_s)


def is_file_there(url: str) -> bool:
    """Return whether an SQLite database has its file; any other database is assumed to exist."""
    made = sa.make_url(url)
    return made.get_backend_name() != "sqlite" or Path(made.database or "").is_file()


def _check_hosts(text: str) -> None:
    for host in map(unquote, text.split(",")):
        found = _HOST.fullmatch(host)
        is_folder = host.startswith("/")  # of a Unix socket
        if not is_folder and (found is None or not 0 < int(found["port"] or 1) < 2**16):
            raise ValueError("give each host as `name` or `name:port`, separated by commas")


def _refusal(name: str, value: str) -> str:
    if name == "channel_binding":
        return (
            f"`channel_binding={value}` is not supported: remove it, and use `sslmode=verify-full` "
            "with `sslrootcert` against impostors"
        )
    return (
        f"the parameter `{name}` is not supported; settings of the server go into "
        "`options=-c name=value`"
    )


def _ssl_mode(name: str, value: str) -> str:
    if value not in _SSL_MODES:
        raise ValueError(f"`{name}` is one of {', '.join(_SSL_MODES)}, not {value!r}")
    return value


def _seconds(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or int(value) == 0:
        raise ValueError(f"`{name}` is a number of seconds from 1, not {value!r}")
    return int(value)
