"""The plug keeps what every plug promises; see tests/contract/test_providers.py."""

from datetime import UTC, datetime
from pathlib import Path

import jsonschema_rs
import orjson
import pytest

from safelight.errors import Forbidden
from safelight.jobs.params import complete_params
from safelight.providers.errors import ProviderRejected
from safelight.providers.local.diffusers import DiffusersProvider
from safelight.providers.price import FREE
from safelight.providers.provider import Callback, Lane, LostStart
from tests.gpu.asking import Handle, request_of


def test_capabilities_when_asked_are_valid_and_stable(plug: DiffusersProvider) -> None:
    models = plug.capabilities()
    assert models == plug.capabilities()
    for model in models:
        assert model.provider == plug.name
        assert model.kinds
        assert model.title
        assert model.description
        assert model.timeout.total_seconds() > 0
        assert (model.lane, model.repeatable, model.price) == (Lane.GPU, True, FREE)
        jsonschema_rs.validator_for(orjson.loads(orjson.dumps(model.params_schema)))
        assert model.params_schema["additionalProperties"] is False
        complete_params(model, {})


async def test_ticket_when_strange_is_refused_and_canceling_it_does_nothing(
    plug: DiffusersProvider, folder: Path
) -> None:
    with pytest.raises(ProviderRejected):
        await plug.check("no such ticket", request_of(plug, folder), Handle())
    await plug.cancel("no such ticket")
    with pytest.raises(Forbidden):
        await plug.parse_callback(Callback({}, b""))
    start = LostStart("att_test", datetime.now(UTC), request_of(plug, folder))
    assert await plug.look_up(start) is None
