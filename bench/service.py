"""The interface that Safelight and its peers share, so that one benchmark measures both."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Service:
    """Its URL, its key, and the place of its results."""

    name: str
    port: int
    key: str
    prefix: str  # of its paths
    database_url: str
    ledger: Path

    def calls(self) -> Iterator[tuple[str, float | None]]:
        """Yield prompt and moment of each call of the provider; None where none was noted."""
        if not self.ledger.exists():
            return
        for line in self.ledger.read_text().splitlines():
            call = json.loads(line)
            if call["what"] == "start":
                yield call["prompt"], call.get("at")
