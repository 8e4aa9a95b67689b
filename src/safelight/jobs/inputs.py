"""A job's input pictures, and checks against the model's accepted roles. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from safelight import documents
from safelight.errors import InvalidRequest
from safelight.providers.provider import Model, Role

_ROLES = {
    Role.REFERENCE: "picture without a specific view",
    Role.MASK: "mask",
    Role.FRONT: "view from the front",
    Role.LEFT: "view from the left",
    Role.BACK: "view from the back",
    Role.RIGHT: "view from the right",
}


@dataclass(frozen=True, slots=True)
class JobInput:
    """An input picture: an asset id or a URL, and its role for the model."""

    source: str
    role: Role = Role.REFERENCE

    @classmethod
    def read(cls, entry: Any) -> Self:
        """Parse an entry of a job's row; a plain string is a reference."""
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
    """Raise `InvalidRequest` for too many pictures, or roles the model does not accept."""
    for role in sorted({one.role for one in given} - model.roles):
        field = "references" if role is Role.REFERENCE else role.value
        message = f"the model {model.id!r} takes no {_ROLES[role]}"
        raise InvalidRequest(errors=[{"field": field, "message": message}])
    pictures = [one for one in given if one.role is not Role.MASK]
    if len(pictures) > model.max_inputs:
        raise InvalidRequest(
            errors=[{"field": "references", "message": f"at most {model.max_inputs}"}]
        )
