"""Provider for image to 3D on the CPU: no key, no GPU, no model weights."""

from datetime import timedelta
from pathlib import Path, PurePath

from safelight.cpu import CpuPool, Limits
from safelight.providers.errors import ProviderBadInput, ProviderRejected
from safelight.providers.local.inflate.make import check_network, make_model
from safelight.providers.local.inflate.order import Order, Params
from safelight.providers.local.inflate.schema import PARAMS, with_network
from safelight.providers.price import FREE
from safelight.providers.provider import (
    AttemptHandle,
    Done,
    Kind,
    Lane,
    MediaFile,
    Model,
    NoCallbacks,
    Pending,
    ProviderRequest,
)

_MEDIA_TYPE = "model/gltf-binary"
_TIMEOUT = timedelta(seconds=120)
# Slightly below the job's own timeout, for a precise error.
_LIMITS = Limits(cpu_s=90, memory_bytes=4 * 2**30, wall_s=_TIMEOUT.total_seconds() - 5)


class InflateProvider(NoCallbacks):
    """Makes a closed, textured mesh of the object in one picture, in a child process."""

    name = "inflate"

    def __init__(self, pool: CpuPool, saliency: Path | None = None) -> None:
        """`saliency` is the ONNX file of a network that separates objects from backgrounds."""
        self._pool = pool
        self._saliency = saliency

    def capabilities(self) -> tuple[Model, ...]:
        return (
            Model(
                id="inflate",
                provider=self.name,
                title="Inflate",
                description="Blows the outline of an object up to a closed 3D model with the "
                "picture on it, or makes a relief. Best for cut-outs, drawings and plain "
                "backgrounds. No AI model.",
                kinds=frozenset({Kind.IMAGE_TO_3D}),
                lane=Lane.LOCAL,
                params_schema=PARAMS if self._saliency is None else with_network(PARAMS),
                timeout=_TIMEOUT,
                repeatable=True,
                max_inputs=1,
                price=FREE,
            ),
        )

    async def start(self, request: ProviderRequest, attempt: AttemptHandle) -> Done | Pending:
        if len(request.inputs) != 1:
            raise ProviderBadInput("This model works from exactly one picture.")
        picture = request.inputs[0]
        order = Order(
            picture=picture.path,
            params=Params.read(request.params),
            model=request.scratch / "model.glb",
            saliency=self._saliency,
        )
        facts = await self._pool.run(
            make_model,
            order,
            reads=filter(None, (order.picture, order.saliency)),
            writes=[request.scratch],
            limits=_LIMITS,
            report=attempt.report,
        )
        stem = PurePath(picture.name).stem or PurePath(picture.path.name).stem
        return Done((MediaFile(order.model, _MEDIA_TYPE, facts=facts, name=f"{stem}.glb"),))

    async def check(
        self, ticket: str, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Pending:
        raise ProviderRejected("This model never waits, so there is nothing to check.")

    async def verify(self) -> str:
        """Load the mask network, if there is one."""
        if self._saliency is None:
            return ""
        return await self._pool.run(check_network, self._saliency, limits=_LIMITS)

    async def cancel(self, ticket: str) -> None:
        """Do nothing: a canceled `start` ends its own child."""
