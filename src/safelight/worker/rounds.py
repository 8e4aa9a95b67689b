"""Background loops: an outage ends a round, never the loop."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from structlog.stdlib import BoundLogger

from safelight.db import DatabaseError
from safelight.errors import ServiceError

T = TypeVar("T")

OUTAGE = (DatabaseError, ServiceError, OSError)


async def guarded(work: Callable[[], Awaitable[T]], log: BoundLogger) -> T | Exception:
    """Run one round; return its result, or the error that ended it, logged."""
    try:
        return await work()
    except OUTAGE as error:
        log.warning("round failed; trying again", error=str(error))
        return error
    except Exception as error:
        log.exception("round failed; trying again")
        return error
