"""Reads where bytes are to be kept, as an operator writes it: `s3://bucket/folder?region=…`."""

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
    """What may stand behind the `?`: obstore's name of it, and the form of its value."""

    setting: str = ""  # none goes with each object instead
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
    """Where bytes are kept: a folder of a disk, or a prefix of a bucket."""

    scheme: str
    bucket: str = ""
    folder: str = ""  # whole on a disk, else the prefix without slashes around
    config: Mapping[str, str] = field(default_factory=dict[str, str])  # in obstore's names
    storage_class: str = ""

    @property
    def path(self) -> Path:
        """The folder of a disk."""
        return Path(self.folder)


def parse_place(text: str) -> Place:
    """Return the place that `text` says; raise `ValueError` with what is wrong about it."""
    parts = urlsplit(text)
    known = _OPTIONS.get(parts.scheme)
    if known is None or parts.fragment:
        raise ValueError(_HINT)
    if "@" in parts.netloc:
        raise ValueError("credentials do not belong here: the cloud's usual variables have them")
    folder = unquote(parts.path)
    if parts.scheme == "file":
        if parts.netloc or parts.query or not folder.startswith("/"):
            raise ValueError("a folder is given whole, as in `file:///srv/safelight`")
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
                f"`{name}` is no option here, or there twice; there are: {', '.join(known)}"
            )
        if not re.fullmatch(known[name].form, value, re.ASCII):
            raise ValueError(f"`{name}` cannot be `{value}`")
        asked[name] = value
    return asked


def _completed(config: Mapping[str, str]) -> dict[str, str]:
    """Add what follows: a key is one of KMS, and what is uploaded has a checksum unless told."""
    whole = {"checksum_algorithm": "SHA256", **config}
    if whole["checksum_algorithm"] == "none":
        del whole["checksum_algorithm"]
    if "sse_kms_key_id" in whole:
        whole.setdefault("server_side_encryption", "aws:kms")
    return whole
