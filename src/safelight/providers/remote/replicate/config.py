"""Configuration of a Replicate account and of the models used there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any, ClassVar

from pydantic import ConfigDict

from safelight.json_object import JsonObject
from safelight.providers.provider import Kind, Lane, Model, Role
from safelight.providers.remote.replicate.fields import VIEWS, Fields, fields_of
from safelight.providers.remote.replicate.params import params_schema
from safelight.providers.remote.replicate.reference import Reference
from safelight.providers.remote.replicate.schema import rules_of
from safelight.providers.remote.replicate.signature import key_of

NAME = "replicate"
MAX_PICTURES = 16

_IMAGE_TIME = timedelta(minutes=10)
_MODEL_TIME = timedelta(minutes=30)

# Input schema of a model without a known schema.
PROMPT_ONLY: Mapping[str, Any] = {
    "type": "object",
    "properties": {"prompt": {"type": "string"}},
    "required": ["prompt"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class ReplicateConfig:
    """One account: `base_url` ends with the version of the API.

    Without a `webhook_secret`, it is fetched on the first callback. `adopts_within` is how long a
    start whose response was lost may be found.
    """

    api_token: str = field(repr=False)
    base_url: str = "https://api.replicate.com/v1"
    name: str = NAME
    webhook_secret: str = field(default="", repr=False)
    call_s: float = 60.0
    upload_s: float = 300.0
    learn_s: float = 3.0  # for all models together, at start
    adopts_within: timedelta = timedelta(minutes=15)

    def __post_init__(self) -> None:
        """Raise `ValueError` for a malformed secret."""
        if self.webhook_secret:
            key_of(self.webhook_secret)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_token}"}


@dataclass(frozen=True)
class ReplicateModel:
    """One model, version or deployment, and how a job maps to its input.

    `input_schema` is the schema of its input. `takes` overrides which input field takes what:
    `{"picture": "style_image", "n": "batch"}`; its keys may be `prompt`, `picture`, `pictures`,
    `mask`, `front`, `left`, `back`, `right`, `n`, `seed`, `format` and `negative_prompt`. `fixed`
    is sent with every job and cannot be overridden. Without `kinds`, they are derived from the
    schema.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    vendor_id: str
    title: str
    description: str = "Runs at Replicate."
    input_schema: Mapping[str, Any] = field(default_factory=lambda: PROMPT_ONLY)
    takes: Mapping[str, str] = field(default_factory=dict[str, str])
    fixed: Mapping[str, Any] = field(default_factory=JsonObject)
    kinds: frozenset[Kind] = frozenset()
    timeout: timedelta | None = None
    id: str = ""
    provider: str = NAME

    def __post_init__(self) -> None:
        """Raise `ValueError` for a configuration that cannot work."""
        _ = self.reference, self.fields

    @cached_property
    def reference(self) -> Reference:
        return Reference.read(self.vendor_id)

    @cached_property
    def open_schema(self) -> Mapping[str, Any]:
        """The input schema without the fixed fields."""
        rules = rules_of(self.input_schema)
        return {
            **self.input_schema,
            "properties": {name: rule for name, rule in rules.items() if name not in self.fixed},
            "required": [
                name for name in self.input_schema.get("required", ()) if name not in self.fixed
            ],
        }

    @cached_property
    def fields(self) -> Fields:
        return fields_of(self.open_schema, self.takes)

    @cached_property
    def offer(self) -> Model:
        """The model as jobs see it."""
        kinds = self.kinds or self._kinds()
        makes_models = Kind.IMAGE_TO_3D in kinds
        reference = self.reference
        named = reference.path.removeprefix("/models/") if reference.name else reference.version
        return Model(
            id=self.id or f"{self.provider}/{named.removeprefix('/')}",
            provider=self.provider,
            title=self.title,
            description=self.description,
            kinds=kinds,
            lane=Lane.REMOTE,
            params_schema=params_schema(self.open_schema, self.fields),
            timeout=self.timeout or (_MODEL_TIME if makes_models else _IMAGE_TIME),
            max_inputs=self._max_inputs(),
            roles=self._roles(),
            vendor_id=self.vendor_id,
        )

    @property
    def makes_models(self) -> bool:
        """Whether it makes 3D models, which takes longer."""
        return Kind.IMAGE_TO_3D in self.offer.kinds

    def _kinds(self) -> frozenset[Kind]:
        for_inputs = self.fields.of_files - {self.fields.mask}
        needs_inputs = for_inputs & set(self.open_schema["required"])
        offered = {
            Kind.TEXT_TO_IMAGE: not needs_inputs,
            Kind.IMAGE_TO_IMAGE: bool(for_inputs),
        }
        return frozenset(kind for kind, is_offered in offered.items() if is_offered)

    def _roles(self) -> frozenset[Role]:
        fields = self.fields
        mask = {Role.MASK} if fields.mask else set[Role]()
        # For a 3D model, a list of pictures is a list of views, in the given order.
        listed = VIEWS if fields.many and Kind.IMAGE_TO_3D in self.kinds else ()
        return frozenset({Role.REFERENCE, *fields.views, *listed} | mask)

    def _max_inputs(self) -> int:
        singles = len({*self.fields.pictures, *self.fields.views.values()})
        if not self.fields.many:
            return singles
        most = rules_of(self.open_schema)[self.fields.many].get("maxItems", MAX_PICTURES)
        return max(singles, min(most, MAX_PICTURES))
