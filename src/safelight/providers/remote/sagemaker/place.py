"""Where objects lie in S3: places that the operator chose, and names within them."""

import re
from dataclasses import dataclass
from typing import Self

_URI = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.ASCII)
# What S3 calls safe characters, in folders that cannot lead out of where they are.
_PART = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9!_.*'()=+@-]+"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*", re.ASCII)
_MAX_NAME = 512


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket and what its keys begin with: nothing, or folders with a slash at the end."""

    bucket: str
    prefix: str = ""

    @classmethod
    def read(cls, uri: str) -> Self:
        """Return the place that `s3://BUCKET` or `s3://BUCKET/FOLDER` names."""
        found = _URI.fullmatch(uri)
        prefix = (found[2] or "").strip("/") if found else ""
        if not found or (prefix and not is_name(prefix)):
            raise ValueError(f"{uri!r} must read s3://BUCKET or s3://BUCKET/FOLDER.")
        return cls(found[1], f"{prefix}/" if prefix else "")

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def key(self, name: str) -> str:
        """Return the whole key of the object that `name` means here."""
        return self.prefix + name

    def name_of(self, uri: str) -> str | None:
        """Return the name here of the object at `uri`, None where it lies elsewhere."""
        name = uri.removeprefix(self.uri)
        return name if uri.startswith(self.uri) and is_name(name) else None


def is_name(text: str) -> bool:
    """Say whether `text` names an object within a place, and cannot lead out of it."""
    return len(text) <= _MAX_NAME and bool(_NAME.fullmatch(text))
