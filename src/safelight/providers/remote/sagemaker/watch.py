"""Reports whether an endpoint is scaling up, from a cached description."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from safelight import telemetry
from safelight.errors import SafelightError
from safelight.providers.remote.sagemaker.calls import Calls

_log = telemetry.logger(__name__)

QUEUED = "in the endpoint's queue"
WORKING = "queued or working at the endpoint"
WAKING = "waking the endpoint"
CLOSED = "the endpoint is out of service"

_LOOK_AGAIN_S = 30.0
_OPEN = {"InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"}


@dataclass(frozen=True, slots=True)
class _Seen:
    stage: str
    until: float  # of the monotonic clock


class EndpointWatch:
    """Endpoint stages, fetched at most every 30 seconds each; errors are ignored."""

    def __init__(self, calls: Calls, look_again_s: float = _LOOK_AGAIN_S) -> None:
        self._calls = calls
        self._look_again_s = look_again_s
        self._seen: dict[str, _Seen] = {}

    async def stage(self, endpoint: str) -> str:
        """Return the stage of a request without a result."""
        seen = self._seen.get(endpoint)
        now = time.monotonic()
        if seen is not None and now < seen.until:
            return seen.stage
        # Set before the call, so that concurrent polls do not repeat it.
        before = seen.stage if seen else QUEUED
        self._seen[endpoint] = _Seen(before, now + self._look_again_s)
        try:
            stage = stage_of(await self._calls.describe(endpoint))
        except SafelightError as error:
            _log.info("endpoint cannot be described", endpoint=endpoint, code=error.code)
            return before
        self._seen[endpoint] = _Seen(stage, now + self._look_again_s)
        return stage


def stage_of(description: Mapping[str, object]) -> str:
    """Return the stage of a waiting request, by the endpoint's description."""
    status = description.get("EndpointStatus")
    if status == "Creating":
        return WAKING
    if status not in _OPEN:
        return CLOSED
    variants = description.get("ProductionVariants")
    if not isinstance(variants, list):
        return QUEUED
    counts = [
        cast("Mapping[str, object]", variant).get("CurrentInstanceCount")
        for variant in cast("list[object]", variants)
        if isinstance(variant, dict)
    ]
    # An endpoint scaling up from zero is Updating, with no instances yet.
    return WAKING if counts and all(count == 0 for count in counts) else WORKING
