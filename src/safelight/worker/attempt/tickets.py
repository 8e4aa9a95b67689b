"""Stores a provider's ticket as soon as it is known, because it stands for paid work."""

import asyncio

from safelight import telemetry
from safelight.db import DatabaseError
from safelight.db.coalesced import Coalesced
from safelight.errors import SafelightError
from safelight.jobs.job import Attempt, StaleJob
from safelight.providers.provider import Absent, Canceled, LostStart, Provider
from safelight.worker.attempt.shielded import to_the_end

_log = telemetry.logger(__name__)

Keep = Coalesced[tuple[str, str], bool]  # an attempt's id and its ticket

_ASK_S = 10.0
_TRY_AGAIN_S = 1.0
_CANCEL_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 0.0)
_CONFIRMED = Canceled()


async def secure(keep: Keep, provider: Provider, attempt: Attempt, ticket: str) -> None:
    """Store `ticket`, retrying until the caller's timeout.

    Raises `StaleJob` if a person has closed the attempt meanwhile; the work is then canceled at
    the provider, because no other process knows about it.
    """
    if not await to_the_end(_store(keep, provider, attempt, ticket)):
        raise StaleJob(attempt.job_id)


async def _store(keep: Keep, provider: Provider, attempt: Attempt, ticket: str) -> bool:
    while True:
        try:
            kept = await keep((attempt.id, ticket))
        except (DatabaseError, SafelightError, OSError) as error:
            _log.warning("ticket not stored; retrying", attempt=attempt.id, error=str(error))
            await asyncio.sleep(_TRY_AGAIN_S)
        else:
            break
    if not kept and not await _canceled(provider, attempt.id, ticket):
        _log.error(
            "work goes on at a provider, and no job waits for it: cancel it there",
            provider=provider.name,
            attempt=attempt.id,
            ticket=ticket,
        )
    return kept


async def _canceled(provider: Provider, attempt_id: str, ticket: str) -> bool:
    """Cancel work that no row stands for, so nobody asks again later; False after some tries."""
    for pause_s in _CANCEL_PAUSES_S:
        answer = await cancel_at_provider(provider, attempt_id, ticket)
        if answer is not None and answer.confirmed:
            return True
        await asyncio.sleep(pause_s)
    return False


async def cancel_at_provider(provider: Provider, attempt_id: str, ticket: str) -> Canceled | None:
    """Cancel work at the provider; None if the request failed."""
    try:
        async with asyncio.timeout(_ASK_S):
            return await provider.cancel(ticket) or _CONFIRMED
    except SafelightError as error:
        _log.warning("provider did not cancel", attempt=attempt_id, code=error.code)
    except Exception:  # noqa: BLE001  cleanup continues whatever a plug raises
        _log.exception("provider did not cancel", attempt=attempt_id)
    return None


async def find_at_provider(provider: Provider, lost: LostStart) -> str | Absent | None:
    """Look up the ticket of a lost start at the provider; None if that is unknown now."""
    try:
        async with asyncio.timeout(_ASK_S):
            return await provider.look_up(lost)
    except SafelightError as error:
        _log.warning("provider lookup failed", attempt=lost.attempt_id, code=error.code)
    except Exception:  # noqa: BLE001  as above
        _log.exception("provider lookup failed", attempt=lost.attempt_id)
    return None
