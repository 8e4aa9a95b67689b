"""Looks up providers and models: what runs a model, and which models an account may use."""

from collections.abc import Iterable, Mapping, Sequence

from safelight.providers.errors import UnknownModel
from safelight.providers.price import Price
from safelight.providers.provider import Kind, Model, Provider


class Registry:
    """The installed providers and the models on offer.

    An alias stands for several models; the first one that supports the job is used.
    """

    def __init__(
        self,
        providers: Iterable[Provider],
        aliases: Mapping[str, Sequence[str]] | None = None,
        *,
        defaults: Mapping[Kind, str] | None = None,
        models: Iterable[Model] | None = None,
    ) -> None:
        """Offer `models`, or all models of the providers.

        `defaults` are the models or aliases for jobs that name none; without one, the first model
        that supports the kind is used. Raises `UnknownModel` for an alias or a default that names a
        missing model.
        """
        self._providers = {provider.name: provider for provider in providers}
        if models is None:
            models = all_models(self._providers.values())
        self._models = {model.id: model for model in models}
        self._aliases = {name: list(models) for name, models in (aliases or {}).items()}
        for name, named in self._aliases.items():
            if unknown := [model for model in named if model not in self._models]:
                raise UnknownModel(
                    f"The alias {name!r} names {unknown[0]!r}, which no provider offers."
                )
        self._defaults = dict(defaults or {})
        for kind, name in self._defaults.items():
            if not any(kind in model.kinds for model in self._named(name)):
                raise UnknownModel(
                    f"The default of {kind.value} is {name!r}, which does not support it."
                )

    @property
    def providers(self) -> list[Provider]:
        """Every provider, in installation order."""
        return list(self._providers.values())

    def provider(self, name: str) -> Provider:
        """Return the provider of that name; a job may name one that is no longer installed."""
        try:
            return self._providers[name]
        except KeyError:
            raise UnknownModel(f"The provider {name!r} is not installed.") from None

    def price(self, model_id: str) -> Price | None:
        """Return a model's price, or None if unknown."""
        model = self._models.get(model_id)
        return model.price if model else None

    def models(self, account_id: str) -> list[Model]:
        """Return every model that the account may use, in provider order."""
        return [model for model in self._models.values() if model.is_open_to(account_id)]

    def aliases(self, account_id: str) -> dict[str, list[str]]:
        """Return the aliases, each with those of its models that the account may use."""
        mine = {
            name: [model for model in models if self._models[model].is_open_to(account_id)]
            for name, models in self._aliases.items()
        }
        return {name: models for name, models in mine.items() if models}

    def candidates(self, kind: Kind, wanted: str | None, account_id: str) -> list[Model]:
        """Return the models to try, best first: one, or the models of an alias that do `kind`.

        Raises `UnknownModel` if the account may use none.
        """
        able = {model.id: model for model in self.models(account_id) if kind in model.kinds}
        name = wanted or self._defaults.get(kind, "")
        found = [able[model.id] for model in self._named(name) if model.id in able]
        if not found and wanted is None:
            found = list(able.values())[:1]
        if not found:
            raise self._unknown(kind, wanted, account_id)
        return found

    def _named(self, name: str) -> list[Model]:
        """Return the models that a model id or an alias stands for."""
        names = self._aliases.get(name, [name])
        return [self._models[each] for each in names if each in self._models]

    def _unknown(self, kind: Kind, wanted: str | None, account_id: str) -> UnknownModel:
        choices = [model.id for model in self.models(account_id) if kind in model.kinds]
        choices += [
            alias
            for alias, models in self.aliases(account_id).items()
            if any(kind in self._models[model].kinds for model in models)
        ]
        return UnknownModel(
            f"No model {wanted!r} does {kind.value}. "
            f"Models that do: {', '.join(choices) or 'none'}.",
            errors=[{"field": "model", "message": "unknown model", "choices": choices}],
        )


def all_models(providers: Iterable[Provider]) -> list[Model]:
    """Return all models of the providers."""
    return [model for provider in providers for model in provider.capabilities()]
