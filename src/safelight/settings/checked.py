"""Types of setting values that have a form: hosts, networks, a proxy URL."""

import re
from ipaddress import ip_address, ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

MIB = 2**20
HTTP_URL = r"^$|^https?://[^\s?#]+$"
S3_FOLDER = r"^$|^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^?#]*)?$"

_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.ASCII)
_PROXY = re.compile(r"http://(?:[^\s/?#@:]+:[^\s/?#@:]*@)?[^\s/?#@]+:\d{1,5}/?", re.ASCII)


def _entries(text: str) -> list[str]:
    """Split at commas; an empty entry is a slip, and must not open what a list was to close."""
    entries = [entry.strip() for entry in text.split(",")] if text.strip() else []
    if not all(entries):
        raise ValueError("there is nothing between two commas")
    return entries


def _hosts(text: str) -> str:
    """Return the list in one spelling: lower case, without `*.` and last dots."""
    return ",".join(map(_host, _entries(text)))


def _host(entry: str) -> str:
    host = entry.lower().removeprefix("*.").removesuffix(".")
    try:
        return str(ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        pass  # a name, then
    if not _HOST.fullmatch(host) or host.rpartition(".")[2].isdigit():
        raise ValueError(
            f"`{entry}` is no host: give names such as `example.com`, without scheme, port or "
            "path, and with other letters in their `xn--` form"
        )
    return host


def _networks(text: str) -> str:
    for entry in _entries(text):
        try:
            ip_network(entry)
        except ValueError as error:
            raise ValueError(f"{error}; give networks such as `10.1.0.0/16`") from None
    return ",".join(_entries(text))


def _proxy(secret: SecretStr) -> SecretStr:
    url = secret.get_secret_value()
    # The message must not repeat what may hold a password.
    if url and not (_PROXY.fullmatch(url) and _has_real_port(url)):
        raise ValueError("it must look like `http://host:port` or `http://user:password@host:port`")
    return secret


def _has_real_port(url: str) -> bool:
    try:
        return bool(urlsplit(url).port)
    except ValueError:
        return False


Hosts = Annotated[str, AfterValidator(_hosts)]
Networks = Annotated[str, AfterValidator(_networks)]
ProxyUrl = Annotated[SecretStr, AfterValidator(_proxy)]
