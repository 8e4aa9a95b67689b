"""Base of the vendor plugs: models by id, vendor clients, and an async context that closes them."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from safelight.fetch import Fetcher
from safelight.providers.errors import ProviderRejected
from safelight.providers.provider import Model, NoCallbacks

M = TypeVar("M")
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


class RemotePlug(NoCallbacks, Generic[M]):
    """A provider over the network. `M` is the vendor's own description of a model.

    Subclasses set `_clients`, which close with the plug.
    """

    _clients: tuple[AbstractAsyncContextManager[Any], ...] = ()

    def __init__(
        self,
        name: str,
        fetcher: Fetcher,
        models: Iterable[tuple[Model, M]],
        *,
        adopts_within: timedelta = timedelta(),
        clock: Clock = utc_now,
    ) -> None:
        """Take each model as jobs see it, with the vendor's own description."""
        offers = {offer.id: (offer, model) for offer, model in models}
        self.name = name
        self.adopts_within = adopts_within
        self._fetcher = fetcher
        self._clock = clock
        self._offers = tuple(offer for offer, _ in offers.values())
        self._models: Mapping[str, M] = {key: model for key, (_, model) in offers.items()}

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
        """Close every pooled connection."""
        async with AsyncExitStack() as stack:
            for client in self._clients:
                stack.push_async_exit(client)

    def capabilities(self) -> tuple[Model, ...]:
        return self._offers

    def _model(self, model_id: str) -> M:
        """Return the model of a job; it may have left the settings since the job was accepted."""
        model = self._models.get(model_id)
        if model is None:
            raise ProviderRejected(f"The provider {self.name} has no model {model_id}.")
        return model
