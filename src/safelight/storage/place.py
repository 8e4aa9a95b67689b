"""Parses storage URLs such as `s3://bucket/folder?region=…`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

_HINT = (
    "give `file:///folder`, `s3://bucket/folder`, `gs://bucket/folder` or `az://container/folder`"
)


@dataclass(frozen=True, slots=True)
class _Option:
    """A query option: obstore's name for it, and a pattern for its value."""

    setting: str = ""  # empty: set per object instead
    form: str = r"\S+"


_ENDPOINT = r"https?://[^\s/?#@]+(/[^\s?#]*)?"
_CLASS = _Option(form=r"[A-Za-z_]+")
_OPTIONS: Mapping[str, Mapping[str, _Option]] = {
    "file": {},
    "memory": {},
    "s3": {
        "region": _Option("region", r"[a-z0-9-]+"),
        "endpoint": _Option("endpoint", _ENDPOINT),
        "encryption": _Option("server_side_encryption", r"AES256|aws:kms(:dsse)?"),
        "kms_key": _Option("sse_kms_key_id"),
        "bucket_key": _Option("sse_bucket_key_enabled", r"true|false"),
        "checksum": _Option("checksum_algorithm", r"SHA256|CRC64NVME|none"),
        "virtual_host": _Option("virtual_hosted_style_request", r"true|false"),
        "storage_class": _CLASS,
    },
    "gs": {"endpoint": _Option("base_url", _ENDPOINT), "storage_class": _CLASS},
    "az": {
        "account": _Option("account_name", r"[a-z0-9]+"),
        "endpoint": _Option("endpoint", _ENDPOINT),
        "storage_class": _CLASS,
    },
}


@dataclass(frozen=True, slots=True)
class Place:
    """A storage location: a local folder, or a prefix in a bucket."""

    scheme: str
    bucket: str = ""
    folder: str = ""  # an absolute path, or the prefix without enclosing slashes
    config: Mapping[str, str] = field(default_factory=dict[str, str])  # in obstore's names
    storage_class: str = ""

    @property
    def path(self) -> Path:
        """The folder of a disk."""
        return Path(self.folder)


def parse_place(text: str) -> Place:
    """Parse a storage URL; raise `ValueError` with the reason if it is invalid."""
    parts = urlsplit(text)
    known = _OPTIONS.get(parts.scheme)
    if known is None or parts.fragment:
        raise ValueError(_HINT)
    if "@" in parts.netloc:
        raise ValueError("leave credentials out: they are read from the cloud's usual variables")
    folder = unquote(parts.path)
    if parts.scheme == "file":
        if parts.netloc or parts.query or not folder.startswith("/"):
            raise ValueError("give an absolute path, as in `file:///srv/safelight`")
        return Place("file", folder=folder)
    if not parts.netloc and parts.scheme != "memory":
        raise ValueError(_HINT)
    asked = _asked(parts.query, known)
    config = {known[name].setting: value for name, value in asked.items() if known[name].setting}
    config = _completed(config) if parts.scheme == "s3" else config
    storage_class = asked.get("storage_class", "")
    return Place(parts.scheme, parts.netloc, folder.strip("/"), config, storage_class)


def _asked(query: str, known: Mapping[str, _Option]) -> dict[str, str]:
    found = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    asked: dict[str, str] = {}
    for name, value in found:
        if name not in known or name in asked:
            raise ValueError(
                f"`{name}` is unknown or repeated; the options are: {', '.join(known)}"
            )
        if not re.fullmatch(known[name].form, value, re.ASCII):
            raise ValueError(f"`{name}` cannot be `{value}`")
        asked[name] = value
    return asked


def _completed(config: Mapping[str, str]) -> dict[str, str]:
    """Add defaults: SHA-256 checksums on uploads, and KMS encryption if a KMS key is given."""
    whole = {"checksum_algorithm": "SHA256", **config}
    if whole["checksum_algorithm"] == "none":
        del whole["checksum_algorithm"]
    if "sse_kms_key_id" in whole:
        whole.setdefault("server_side_encryption", "aws:kms")
    return whole
