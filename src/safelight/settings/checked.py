"""Types of setting values that have a form: hosts, networks, URLs, files, a mail sender."""

import re
from email.errors import HeaderParseError
from email.headerregistry import Address
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

MIB = 2**20
S3_FOLDER = r"^$|^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^?#]*)?$"

_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.ASCII)
_SENDER = re.compile(r"(?:(?P<name>[^<>]*)<)?(?P<address>[^<>@\s]+@[^<>@\s]+)>?")
_WIDEST = {4: 8, 6: 7}  # bits of the widest network that may be opened
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
            network = ip_network(entry)
        except ValueError as error:
            raise ValueError(f"{error}; give networks such as `10.1.0.0/16`") from None
        if network.prefixlen < _WIDEST[network.version]:
            raise ValueError(
                f"`{entry}` opens far more than a private network; give networks such as "
                "`10.1.0.0/16`"
            )
    return ",".join(_entries(text))


def _ports(text: str) -> str:
    ports = [entry.strip() for entry in text.split(",")]
    if not all(re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 2**16 for port in ports):
        raise ValueError("give ports from 1 to 65535, separated by commas: `80,443`")
    return ",".join(ports)


def _http_url(text: str) -> str:
    """Return the URL without a trailing slash; the message does not repeat it, for passwords."""
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        is_whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_whole, parts = False, urlsplit("")
    if not is_whole or parts.query or parts.fragment or re.search(r"[\s?#]", text):
        raise ValueError(
            "give the whole URL, without query: `https://media.example.com` or "
            "`http://10.0.0.5:8765/path`"
        )
    if parts.username is not None or parts.password is not None:
        raise ValueError("leave user and password out of the URL")
    return text.rstrip("/")


def _origins(text: str) -> str:
    """Return the list as browsers spell origins: lower case, without a default port."""
    return ",".join(dict.fromkeys(map(_origin, _entries(text))))


def _origin(entry: str) -> str:
    url = urlsplit(_http_url(entry))
    if url.path or entry.endswith("/") or not _HOST.fullmatch(url.hostname or ""):
        raise ValueError(f"`{entry}` is no origin: give origins such as `https://app.example.com`")
    default = 443 if url.scheme == "https" else 80
    port = "" if url.port in (None, default) else f":{url.port}"
    return f"{url.scheme}://{url.hostname}{port}"


def is_for_tests(url: str) -> bool:
    """Return whether a URL leads to this machine, or has a name reserved for tests (RFC 6761)."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.rpartition(".")[2] in ("localhost", "test")


def _sender(text: str) -> str:
    """Return the sender as a mail header wants it: names with commas or dots are quoted."""
    if not text:
        return ""
    found = _SENDER.fullmatch(text.strip())
    name, address = (found["name"] or "", found["address"]) if found else ("", "")
    try:
        sender = Address(name.strip().strip('"').replace('\\"', '"'), addr_spec=address)
    except (HeaderParseError, ValueError, IndexError):
        sender = Address()
    if not sender.domain or not sender.username:
        raise ValueError("give an address such as `Safelight <news@example.com>`")
    return str(sender)


def _file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError(f"there is no folder {path}")
    return path


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
Origins = Annotated[str, AfterValidator(_origins)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
MailSender = Annotated[str, AfterValidator(_sender)]
ExistingFile = Annotated[Path, AfterValidator(_file)]
ExistingFolder = Annotated[Path, AfterValidator(_folder)]
Ports = Annotated[str, AfterValidator(_ports)]
Networks = Annotated[str, AfterValidator(_networks)]
ProxyUrl = Annotated[SecretStr, AfterValidator(_proxy)]
