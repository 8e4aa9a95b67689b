"""Keeps a provider's ticket safe the moment it is known: it stands for paid work."""

import asyncio

from sqlalchemy.exc import SQLAlchemyError

from safelight import telemetry
from safelight.db.grouped import Grouped
from safelight.errors import SafelightError
from safelight.jobs.job import Attempt, StaleJob
from safelight.providers.provider import Provider
from safelight.worker.endings import to_the_end

_log = telemetry.logger(__name__)

Keep = Grouped[tuple[str, str], bool]  # an attempt's id and its ticket

_CANCEL_S = 10.0
_TRY_AGAIN_S = 1.0


async def secure(keep: Keep, provider: Provider, attempt: Attempt, ticket: str) -> None:
    """Store `ticket`, however often that fails, until the caller's time is up.

    Raises `StaleJob` where the attempt was closed meanwhile, as for a canceled job; the work is
    then canceled at the provider, as nobody else knows of it.
    """
    if not await to_the_end(_store(keep, provider, attempt, ticket)):
        raise StaleJob(attempt.job_id)


async def _store(keep: Keep, provider: Provider, attempt: Attempt, ticket: str) -> bool:
    while True:
        try:
            kept = await keep((attempt.id, ticket))
        except (SQLAlchemyError, SafelightError, OSError) as error:
            _log.warning("ticket not stored; trying again", attempt=attempt.id, error=str(error))
            await asyncio.sleep(_TRY_AGAIN_S)
        else:
            break
    if not kept:
        await cancel_at_provider(provider, attempt.id, ticket)
    return kept


async def cancel_at_provider(provider: Provider, attempt_id: str, ticket: str) -> bool:
    """Ask the provider to stop; False if it could not be told."""
    try:
        async with asyncio.timeout(_CANCEL_S):
            await provider.cancel(ticket)
    except SafelightError as error:
        _log.warning("provider did not cancel", attempt=attempt_id, code=error.code)
        return False
    except Exception:  # noqa: BLE001  whatever a plug raises, those who clean up go on
        _log.exception("provider did not cancel", attempt=attempt_id)
        return False
    return True
