"""Provider for the operator's own diffusion models, on this machine's GPUs.

Tested with tiny random models on a CPU, **not on a GPU**.
"""

import asyncio
from types import TracebackType
from typing import Self

from safelight.providers.errors import ProviderRejected
from safelight.providers.local.diffusers import readiness
from safelight.providers.local.diffusers.device import missing_packages
from safelight.providers.local.diffusers.devices import open_devices
from safelight.providers.local.diffusers.messages import Make
from safelight.providers.local.diffusers.models import DiffusersConfig, LocalModel, Task
from safelight.providers.local.diffusers.order import order_of
from safelight.providers.local.diffusers.outcome import done
from safelight.providers.local.diffusers.schema import params_schema
from safelight.providers.provider import (
    AttemptHandle,
    Done,
    Kind,
    Lane,
    Model,
    NoCallbacks,
    Pending,
    ProviderRequest,
    Role,
)

NAME = "diffusers"


class DiffusersProvider(NoCallbacks):
    """One process per device, which keeps models warm; started by the first job."""

    name = NAME

    def __init__(self, config: DiffusersConfig) -> None:
        self._models = {model.id: model for model in config.models}
        self._offer = tuple(offered(model) for model in config.models)
        self._config = config
        self._devices = open_devices(config)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Kill every process."""
        await self._devices.close()

    @property
    def pids(self) -> tuple[int | None, ...]:
        """The process id of each device, None if not started."""
        return self._devices.pids

    def capabilities(self) -> tuple[Model, ...]:
        return self._offer

    async def start(self, request: ProviderRequest, attempt: AttemptHandle) -> Done | Pending:
        model = self._models.get(request.model)
        if model is None:
            raise ProviderRejected(f"There is no model {request.model!r} on this machine.")
        order = order_of(request, model)
        async with self._devices.lent(model.id, order.warmth) as device:
            within_s = model.timeout.total_seconds()
            answer = await device.do(Make(order), attempt.report, within_s)
            return done(answer, order, model, device.versions)

    async def check(
        self, ticket: str, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Pending:
        raise ProviderRejected("This model never waits, so there is nothing to check.")

    async def verify(self) -> str:
        if missing := missing_packages():
            raise ProviderRejected(
                f"Packages are missing ({missing}): install safelight[diffusers] on this machine."
            )
        models = self._config.models
        if not self._config.allow_downloads:
            hub = readiness.hub_cache()
            if absent := await asyncio.to_thread(readiness.missing_weights, models, hub):
                raise ProviderRejected(" ".join(absent))
        if faults := await readiness.faulty_devices(self._config):
            raise ProviderRejected(f"A device cannot be used. {' '.join(faults)}")
        return f"{len(models)} models on {', '.join(self._config.devices)}"

    async def cancel(self, ticket: str) -> None:
        """Do nothing: a canceled `start` stops its own work."""


def offered(model: LocalModel) -> Model:
    """Return the model as `GET /v1/models` shows it."""
    kinds: set[Kind] = set()
    if Task.TEXT in model.tasks:
        kinds.add(Kind.TEXT_TO_IMAGE)
    if model.tasks & {Task.IMAGE, Task.INPAINT}:
        kinds.add(Kind.IMAGE_TO_IMAGE)
    masked = {Role.MASK} if Task.INPAINT in model.tasks else set[Role]()
    return Model(
        id=model.id,
        provider=NAME,
        title=model.title or model.id,
        description=model.description or "A diffusion model on this machine's own GPU.",
        kinds=frozenset(kinds),
        lane=Lane.GPU,
        params_schema=params_schema(model),
        timeout=model.timeout,
        repeatable=True,
        max_inputs=1 if Kind.IMAGE_TO_IMAGE in kinds else 0,
        roles=frozenset({Role.REFERENCE, *masked}),
        price=model.price,
        vendor_id=model.source if isinstance(model.source, str) else "",
    )
