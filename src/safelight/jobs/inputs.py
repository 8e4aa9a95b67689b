"""The pictures that a job works from, and how many of which role a model takes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from safelight import documents
from safelight.errors import InvalidRequest
from safelight.providers.provider import Model, Role

_ROLES = {
    Role.REFERENCE: "picture of no side in particular",
    Role.MASK: "mask",
    Role.FRONT: "view from the front",
    Role.LEFT: "view from the left",
    Role.BACK: "view from the back",
    Role.RIGHT: "view from the right",
}


@dataclass(frozen=True, slots=True)
class JobInput:
    """A picture that a job works from: an asset's id or an address, and what it is to the model."""

    source: str
    role: Role = Role.REFERENCE

    @classmethod
    def read(cls, entry: Any) -> Self:
        """Return what an entry of a job's row says; a plain text is a reference."""
        if isinstance(entry, str):
            return cls(entry)
        return cls(entry["source"], Role(entry["role"]))

    def entry(self) -> str | documents.JobSource:
        if self.role is Role.REFERENCE:
            return self.source
        return self.document()

    def document(self) -> documents.JobSource:
        return {"source": self.source, "role": self.role.value}


def check_inputs(model: Model, given: Sequence[JobInput]) -> None:
    """Raise `InvalidRequest` for more pictures than the model takes, or ones of other roles."""
    for role in sorted({one.role for one in given} - model.roles):
        field = "references" if role is Role.REFERENCE else role.value
        message = f"the model {model.id!r} takes no {_ROLES[role]}"
        raise InvalidRequest(errors=[{"field": field, "message": message}])
    pictures = [one for one in given if one.role is not Role.MASK]
    if len(pictures) > model.max_inputs:
        raise InvalidRequest(
            errors=[{"field": "references", "message": f"at most {model.max_inputs}"}]
        )
