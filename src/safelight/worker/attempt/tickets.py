"""Keeps a provider's ticket safe the moment it is known: it stands for paid work."""

import asyncio

from safelight import telemetry
from safelight.db import DatabaseError
from safelight.db.grouped import Grouped
from safelight.errors import SafelightError
from safelight.jobs.job import Attempt, StaleJob
from safelight.providers.provider import Absent, Canceled, LostStart, Provider
from safelight.worker.attempt.shielded import to_the_end

_log = telemetry.logger(__name__)

Keep = Grouped[tuple[str, str], bool]  # an attempt's id and its ticket

_ASK_S = 10.0
_TRY_AGAIN_S = 1.0
_CONFIRMED = Canceled()


async def secure(keep: Keep, provider: Provider, attempt: Attempt, ticket: str) -> None:
    """Store `ticket`, however often that fails, until the caller's time is up.

    Raises `StaleJob` where a person has closed the attempt meanwhile; the work is then canceled at
    the provider, as nobody else knows of it.
    """
    if not await to_the_end(_store(keep, provider, attempt, ticket)):
        raise StaleJob(attempt.job_id)


async def _store(keep: Keep, provider: Provider, attempt: Attempt, ticket: str) -> bool:
    while True:
        try:
            kept = await keep((attempt.id, ticket))
        except (DatabaseError, SafelightError, OSError) as error:
            _log.warning("ticket not stored; trying again", attempt=attempt.id, error=str(error))
            await asyncio.sleep(_TRY_AGAIN_S)
        else:
            break
    if not kept:
        await cancel_at_provider(provider, attempt.id, ticket)
    return kept


async def cancel_at_provider(provider: Provider, attempt_id: str, ticket: str) -> Canceled | None:
    """Ask the provider to stop; None if it could not be told."""
    try:
        async with asyncio.timeout(_ASK_S):
            return await provider.cancel(ticket) or _CONFIRMED
    except SafelightError as error:
        _log.warning("provider did not cancel", attempt=attempt_id, code=error.code)
    except Exception:  # noqa: BLE001  whatever a plug raises, those who clean up go on
        _log.exception("provider did not cancel", attempt=attempt_id)
    return None


async def find_at_provider(provider: Provider, lost: LostStart) -> str | Absent | None:
    """Ask the provider for the ticket of a lost start; None if it does not tell now."""
    try:
        async with asyncio.timeout(_ASK_S):
            return await provider.look_up(lost)
    except SafelightError as error:
        _log.warning("provider was not asked", attempt=lost.attempt_id, code=error.code)
    except Exception:  # noqa: BLE001  as above
        _log.exception("provider was not asked", attempt=lost.attempt_id)
    return None
