"""The ticket of paid work whose files still lie at their vendor's addresses."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import orjson
from pydantic import TypeAdapter, ValidationError

from safelight.providers.errors import ProviderRejected
from safelight.providers.price import NOT_TOLD, Usage

# What the index of tickets in PostgreSQL holds in one entry, with room to spare.
_MAX_BYTES = 2_000


@dataclass(frozen=True, slots=True)
class Finished:
    """What a provider answered at once and by addresses, in their order."""

    addresses: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    usage: Usage = NOT_TOLD

    @classmethod
    def read(cls, ticket: str) -> Self:
        """Return what `write` wrote; raise `ProviderRejected` for anything else."""
        try:
            known = _TICKET.validate_json(ticket)
        except ValidationError:
            raise ProviderRejected("There is no such ticket.") from None
        return cls(known.addresses, known.facts, known.usage)

    def write(self) -> str | None:
        """Return the ticket, without facts where those are too much, None where it cannot be."""
        for facts in (dict(self.facts), {}):
            ticket = orjson.dumps(
                {"addresses": self.addresses, "facts": facts, "usage": asdict(self.usage)}
            )
            if len(ticket) <= _MAX_BYTES:
                return ticket.decode()
        return None


_TICKET = TypeAdapter(Finished)
