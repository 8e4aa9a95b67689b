"""Sends one message of an outbox and records the outcome, whatever happens on the way."""

from collections.abc import Awaitable, Callable

from safelight import telemetry
from safelight.webhooks.delivery import SendOutcome
from safelight.worker.rounds import OUTAGE

_log = telemetry.logger(__name__)


async def send(
    message_id: str,
    attempt: Callable[[], Awaitable[SendOutcome]],
    record: Callable[[SendOutcome], Awaitable[None]],
) -> None:
    """Send a message; if its outcome cannot be recorded, it is sent again after its lease."""
    try:
        await record(await attempt())
    except OUTAGE as error:
        _log.warning("outcome not recorded", message=message_id, error=str(error))
    except Exception:  # noqa: BLE001  one message must not stop the others
        _log.exception("outcome not recorded", message=message_id)
