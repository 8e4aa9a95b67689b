"""Fetches the models' input schemas at startup, falling back to the configured ones."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from safelight import telemetry
from safelight.errors import SafelightError
from safelight.json_object import as_object
from safelight.providers.errors import ProviderRejected
from safelight.providers.remote.api import MIB, Api
from safelight.providers.remote.replicate.config import ReplicateConfig, ReplicateModel
from safelight.providers.remote.replicate.reference import Reference
from safelight.providers.remote.replicate.refusal import explain
from safelight.providers.remote.replicate.schema import input_schema

_log = telemetry.logger(__name__)

_MAX_ANSWER = 4 * MIB
_AT_ONCE = 8


async def learn(
    config: ReplicateConfig,
    models: tuple[ReplicateModel, ...],
) -> tuple[ReplicateModel, ...]:
    """Return the models with their current schemas, within `learn_s`; never raises."""
    api = Api(config.base_url, config.headers, explain=partial(explain, pays=False))
    loop = asyncio.get_running_loop()
    until = loop.time() + config.learn_s
    slots = asyncio.Semaphore(_AT_ONCE)

    async def learned(model: ReplicateModel) -> ReplicateModel:
        try:
            async with asyncio.timeout_at(until), slots:
                schema = await describe(api, model)
            return replace(model, input_schema=schema)
        except (SafelightError, ValueError, TimeoutError) as error:
            _log.warning(
                "model schema not fetched, using the configured one",
                model=model.vendor_id,
                reason=str(error)[:300],
            )
            return model

    async with api, asyncio.TaskGroup() as group:
        running = [group.create_task(learned(model)) for model in models]
    return tuple(one.result() for one in running)


async def describe(api: Api, model: ReplicateModel) -> Mapping[str, Any]:
    """Return the model's current input schema.

    Raises a `ProviderError` if it cannot be fetched, and `ValueError` if it is unusable.
    """
    reference = model.reference
    if reference.is_deployment:
        release = as_object((await _ask(api, reference.path)).get("current_release"))
        reference = Reference.read(f"{release.get('model')}:{release.get('version')}")
    if not reference.name:
        raise ProviderRejected("A bare version has no API endpoint that describes it.")
    if reference.version:
        return input_schema((await _version(api, reference)).get("openapi_schema"))
    described = await _ask(api, reference.path)
    return input_schema(as_object(described.get("latest_version")).get("openapi_schema"))


async def _version(api: Api, reference: Reference) -> Mapping[str, Any]:
    return await _ask(api, f"{reference.path}/versions/{reference.version}")


async def _ask(api: Api, path: str) -> Mapping[str, Any]:
    answer = await api.call("GET", path, max_bytes=_MAX_ANSWER)
    return as_object(answer.document)
