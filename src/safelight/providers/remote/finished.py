"""Ticket for paid work whose result files are still to be downloaded from the vendor."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import orjson
from pydantic import TypeAdapter, ValidationError

from safelight.json_object import JsonObject
from safelight.providers.errors import ProviderRejected
from safelight.providers.price import NOT_TOLD, Usage

# Below the maximum size of a PostgreSQL index entry, with room to spare.
_MAX_BYTES = 2_000


@dataclass(frozen=True, slots=True)
class Finished:
    """Result URLs of a synchronous response, in order."""

    addresses: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=JsonObject)
    usage: Usage = NOT_TOLD

    @classmethod
    def read(cls, ticket: str) -> Self:
        """Parse a ticket from `write`; raise `ProviderRejected` for anything else."""
        try:
            known = _TICKET.validate_json(ticket)
        except ValidationError:
            raise ProviderRejected("Unknown ticket.") from None
        return cls(known.addresses, known.facts, known.usage)

    def write(self) -> str | None:
        """Return the ticket, without facts if they are too large; None if it is still too large."""
        for facts in (dict(self.facts), {}):
            ticket = orjson.dumps(
                {"addresses": self.addresses, "facts": facts, "usage": asdict(self.usage)}
            )
            if len(ticket) <= _MAX_BYTES:
                return ticket.decode()
        return None


_TICKET = TypeAdapter(Finished)
