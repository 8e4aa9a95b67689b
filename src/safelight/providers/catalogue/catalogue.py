"""The catalogue's tables, named as in its file; docs/catalogue.md explains each."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from safelight.providers.local.diffusers import DiffusersConfig
from safelight.providers.price import Price
from safelight.providers.provider import Kind, Lane, Model, Role
from safelight.providers.remote.fal import FalModel
from safelight.providers.remote.http_service import HttpService
from safelight.providers.remote.replicate import ReplicateModel

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAME = r"^[A-Za-z0-9][\w.-]{0,63}$"
_MODEL = r"^[A-Za-z0-9][\w./:-]{0,127}$"

_CURRENCY = r"^[A-Z]{3}$"
FORMS = {
    _NAME: "a name has letters, digits and the characters . _ -, at most 64.",
    _MODEL: "a model's id has letters, digits and the characters . / : _ -, at most 128.",
    _CURRENCY: "a currency is three capital letters, such as USD.",
}
"""The meaning of each regular expression, for people."""

ProviderName = Annotated[str, StringConstraints(pattern=_NAME)]
ModelId = Annotated[str, StringConstraints(pattern=_MODEL)]
Seconds = Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=1))]


class Table(BaseModel):
    """A table that rejects unknown keys; its rules are built when a file is read."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True
    )


class Alias(Table):
    """A name for several models: the first to support the job is used, the others are fallbacks."""

    models: Annotated[list[ModelId], Field(min_length=1, max_length=16)]


class ProviderLimits(Table):
    """Maximum load on a provider, over all workers."""

    in_flight: int | None = Field(default=None, ge=1)
    starts_per_minute: int | None = Field(default=None, ge=1)


class Change(Table):
    """Overrides for an installed model.

    `params` narrows rules of its schema, `defaults` replace default values, and `fixed` values are
    the only ones allowed.
    """

    enabled: bool = True
    title: str | None = None
    description: str | None = None
    params: Mapping[str, Mapping[str, Any]] = {}
    defaults: Mapping[str, Any] = {}
    fixed: Mapping[str, Any] = {}
    timeout_s: Seconds | None = None
    repeatable: bool | None = None
    price: Price | None = None
    accounts: frozenset[str] | None = None


class Offer(Table):
    """A model defined entirely by the catalogue. `params` are its schema's properties."""

    id: ModelId
    title: str
    description: str = ""
    kinds: frozenset[Kind] = frozenset({Kind.TEXT_TO_IMAGE})
    params: Mapping[str, Mapping[str, Any]] = {}
    required: list[str] = []
    roles: frozenset[Role] = frozenset({Role.REFERENCE})
    max_inputs: int = Field(default=0, ge=0, le=16)
    timeout_s: Seconds = timedelta(minutes=10)
    repeatable: bool = False
    price: Price | None = None
    vendor_id: str = ""

    def of(self, provider: str) -> Model:
        return Model(
            id=self.id,
            provider=provider,
            title=self.title,
            description=self.description,
            kinds=self.kinds,
            lane=Lane.REMOTE,
            params_schema=object_of(self.params, self.required),
            timeout=self.timeout_s,
            repeatable=self.repeatable,
            max_inputs=self.max_inputs,
            roles=self.roles,
            price=self.price,
            vendor_id=self.vendor_id,
        )


def object_of(
    params: Mapping[str, Mapping[str, Any]], required: Sequence[str] = ()
) -> Mapping[str, Any]:
    """Return the JSON Schema of an object with these properties only."""
    return {
        "$schema": DIALECT,
        "type": "object",
        "properties": dict(params),
        "required": list(required),
        "additionalProperties": False,
    }


class VendorOffer(Table):
    """A known vendor's model, by vendor id; without `params`, its server validates them."""

    vendor_id: str
    title: str = ""
    description: str = "Pictures from a prompt, with or without references."
    params: Mapping[str, Mapping[str, Any]] | None = None
    timeout_s: Seconds = timedelta(minutes=10)


class Catalogue(Table):
    """The whole file. Entries for a vendor without credentials are validated but not offered."""

    currency: Annotated[str, StringConstraints(pattern=_CURRENCY)] = "USD"
    aliases: Mapping[ProviderName, Alias] = {}
    defaults: Mapping[Kind, ModelId] = {}
    models: Mapping[ModelId, Change] = {}
    limits: Mapping[ProviderName, ProviderLimits] = {}
    openai: list[VendorOffer] = []
    fal: list[FalModel] = []
    replicate: list[ReplicateModel] = []
    http: list[HttpService] = []
    diffusers: DiffusersConfig | None = None
