"""Which provider does which model, and which models a kind of job may choose from."""

from collections.abc import Iterable, Mapping, Sequence

from safelight.errors import UnknownModel
from safelight.providers.provider import Kind, Model, Provider


class Registry:
    """The installed providers and everything they offer.

    An alias stands for several models, of which the first that can is used.
    """

    def __init__(
        self, providers: Iterable[Provider], aliases: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Raise `UnknownModel` for an alias that names a model nobody offers."""
        self._providers = {provider.name: provider for provider in providers}
        self._models = {
            model.id: model
            for provider in self._providers.values()
            for model in provider.capabilities()
        }
        self.aliases = {name: list(models) for name, models in (aliases or {}).items()}
        for name, models in self.aliases.items():
            if unknown := [model for model in models if model not in self._models]:
                raise UnknownModel(f"The alias {name!r} names {unknown[0]!r}, which nobody offers.")

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

    def candidates(self, kind: Kind, wanted: str | None) -> list[Model]:
        """Return the models to try, best first: one, or those of an alias that do `kind`."""
        found = [self._models[name] for name in self.aliases.get(wanted or "", ())]
        return [model for model in found if kind in model.kinds] or [self.model(kind, wanted)]

    def model(self, kind: Kind, wanted: str | None) -> Model:
        """Return the model named `wanted`, or the first one that does `kind`."""
        able = [model for model in self._models.values() if kind in model.kinds]
        for model in able:
            if wanted is None or model.id == wanted:
                return model
        names = [model.id for model in able]
        names += [
            alias
            for alias, models in self.aliases.items()
            if any(kind in self._models[model].kinds for model in models)
        ]
        choices = ", ".join(names) or "none"
        raise UnknownModel(
            f"No model {wanted!r} does {kind.value}. Models that do: {choices}.",
            errors=[{"field": "model", "message": "unknown model", "choices": names}],
        )
