"""The commands and their options, as typed; other modules do the work."""

from safelight.cli.commands import (
    about,
    accounts,
    create,
    jobs,
    keys,
    library,
    operating,
    people,
    processes,
)
from safelight.cli.commands.base import app

__all__ = [
    "about",
    "accounts",
    "app",
    "create",
    "jobs",
    "keys",
    "library",
    "operating",
    "people",
    "processes",
]
