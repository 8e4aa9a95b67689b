"""S3 locations from the settings, and object names within them."""

import re
from dataclasses import dataclass
from typing import Self

_URI = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.ASCII)
# S3's safe characters, without path segments that lead out of the folder.
_PART = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9!_.*'()=+@-]+"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*", re.ASCII)
_MAX_NAME = 512


@dataclass(frozen=True, slots=True)
class S3Place:
    """A bucket and a key prefix, which is empty or ends with a slash."""

    bucket: str
    prefix: str = ""

    @classmethod
    def read(cls, uri: str) -> Self:
        """Parse `s3://BUCKET` or `s3://BUCKET/FOLDER`."""
        found = _URI.fullmatch(uri)
        prefix = (found[2] or "").strip("/") if found else ""
        if not found or (prefix and not is_name(prefix)):
            raise ValueError(f"{uri!r} must be s3://BUCKET or s3://BUCKET/FOLDER.")
        return cls(found[1], f"{prefix}/" if prefix else "")

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def key(self, name: str) -> str:
        """Return the full key of an object name."""
        return self.prefix + name

    def name_of(self, uri: str) -> str | None:
        """Return the object name of `uri`, or None if it is in another location."""
        name = uri.removeprefix(self.uri)
        return name if uri.startswith(self.uri) and is_name(name) else None


def is_name(text: str) -> bool:
    """Return whether `text` is a valid object name that cannot lead out of its location."""
    return len(text) <= _MAX_NAME and bool(_NAME.fullmatch(text))
