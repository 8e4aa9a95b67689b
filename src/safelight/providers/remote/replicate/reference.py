"""Parses Replicate names: a model, a version of it, or a deployment."""

import re
from dataclasses import dataclass
from typing import Self

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_VERSION = r"[0-9a-f]{64}"
_DEPLOYMENT = re.compile(rf"deployments/({_NAME})/({_NAME})", re.ASCII)
_MODEL = re.compile(rf"({_NAME})/({_NAME})(?::({_VERSION}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reference:
    """`owner/name`, `owner/name:version`, a bare version, or `deployments/owner/name`."""

    owner: str = ""
    name: str = ""
    version: str = ""
    is_deployment: bool = False

    @classmethod
    def read(cls, text: str) -> Self:
        """Parse `text`, or raise `ValueError`."""
        if re.fullmatch(_VERSION, text, re.ASCII):
            return cls(version=text)
        if found := _DEPLOYMENT.fullmatch(text):
            return cls(found[1], found[2], is_deployment=True)
        if found := _MODEL.fullmatch(text):
            return cls(found[1], found[2], found[3] or "")
        raise ValueError(f"{text!r} is not a Replicate model, version or deployment.")

    @property
    def path(self) -> str:
        """API path that describes it; a bare version has none."""
        kind = "deployments" if self.is_deployment else "models"
        return f"/{kind}/{self.owner}/{self.name}"

    @property
    def predictions_path(self) -> str:
        """API path that creates predictions; a version is named in the body."""
        return "/predictions" if self.version else f"{self.path}/predictions"
