"""Which provider does which model, and which models a kind of job may choose from."""

from collections.abc import Iterable

from safelight.errors import UnknownModel
from safelight.providers.provider import Kind, Model, Provider


class Registry:
    """The installed providers and everything they offer."""

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._models = {
            model.id: model
            for provider in self._providers.values()
            for model in provider.capabilities()
        }

    @property
    def models(self) -> list[Model]:
        """Every model, in the order in which providers were installed."""
        return list(self._models.values())

    def provider(self, name: str) -> Provider:
        """Return the provider of that name; a job may name one that is no longer installed."""
        try:
            return self._providers[name]
        except KeyError:
            raise UnknownModel(f"The provider {name!r} is not installed.") from None

    def model(self, kind: Kind, wanted: str | None) -> Model:
        """Return the model named `wanted`, or the first one that does `kind`."""
        able = [model for model in self._models.values() if kind in model.kinds]
        for model in able:
            if wanted is None or model.id == wanted:
                return model
        names = [model.id for model in able]
        choices = ", ".join(names) or "none"
        raise UnknownModel(
            f"No model {wanted!r} does {kind.value}. Models that do: {choices}.",
            errors=[{"field": "model", "message": "unknown model", "choices": names}],
        )
