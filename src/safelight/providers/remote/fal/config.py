"""Configuration of a fal account and of the models used there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

from pydantic import ConfigDict

from safelight.json_object import JsonObject
from safelight.providers.provider import Kind, Lane, Model, Role
from safelight.providers.remote.api import MIB

NAME = "fal"
_ENDPOINT = re.compile(r"(?:(?:workflows|comfy)/)?[\w-]+/[\w.-]+(?:/[\w.-]+)*", re.ASCII)
_NAMESPACES = ("workflows/", "comfy/")
_IMAGE_TIME = timedelta(minutes=10)
_MODEL_TIME = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class FalConfig:
    """One account. `adopts_within` is how long a start whose response was lost may be found.

    `platform_url` lists the account's requests; without it, lost starts are found only by webhook.
    """

    key: str = field(repr=False)
    queue_url: str = "https://queue.fal.run"
    keys_url: str = "https://rest.fal.ai/.well-known/jwks.json"
    platform_url: str = ""
    name: str = NAME
    call_s: float = 60.0
    max_input_bytes: int = 10 * MIB  # of all pictures of a job, sent inside the JSON
    adopts_within: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class FalModel:
    """One model, and how a job maps to its input.

    `params` are the JSON Schemas of its inputs, without pictures and prompt, under our names;
    `theirs` maps our names to the model's. `pictures` maps a role to the input that takes its
    picture; `many` is the input that takes a list of references. `fixed` is sent with every job. An
    empty `prompt` means that the model takes none.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    vendor_id: str
    title: str
    description: str = "Runs at fal."
    kinds: frozenset[Kind] = frozenset({Kind.TEXT_TO_IMAGE})
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    theirs: Mapping[str, str] = field(default_factory=dict[str, str])
    pictures: Mapping[Role, str] = field(default_factory=dict[Role, str])
    many: str = ""
    prompt: str = "prompt"
    fixed: Mapping[str, Any] = field(default_factory=JsonObject)
    timeout: timedelta | None = None
    id: str = ""
    provider: str = NAME

    def __post_init__(self) -> None:
        """Raise `ValueError` for an invalid endpoint name."""
        if not _ENDPOINT.fullmatch(self.vendor_id) or ".." in self.vendor_id:
            raise ValueError(
                f"{self.vendor_id!r} is not an endpoint such as owner/name or owner/a/b."
            )

    @property
    def app(self) -> str:
        """Owner and name, the part of the endpoint that fal's queue routes use."""
        space = next((name for name in _NAMESPACES if self.vendor_id.startswith(name)), "")
        return space + "/".join(self.vendor_id.removeprefix(space).split("/")[:2])

    @property
    def picture_fields(self) -> frozenset[str]:
        """The inputs that take pictures."""
        return frozenset({*self.pictures.values(), *((self.many,) if self.many else ())})

    @property
    def makes_models(self) -> bool:
        """Whether it makes 3D models, which takes longer."""
        return Kind.IMAGE_TO_3D in self.kinds

    @property
    def offer(self) -> Model:
        """The model as jobs see it."""
        most = 16 if self.many else len(self.pictures.keys() - {Role.MASK})
        return Model(
            id=self.id or f"{self.provider}/{self.vendor_id}",
            provider=self.provider,
            title=self.title,
            description=self.description,
            kinds=self.kinds,
            lane=Lane.REMOTE,
            params_schema={
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": dict(self.params),
                "additionalProperties": False,
            },
            timeout=self.timeout or (_MODEL_TIME if self.makes_models else _IMAGE_TIME),
            max_inputs=most,
            roles=frozenset({*self.pictures} | ({Role.REFERENCE} if self.many else set())),
            vendor_id=self.vendor_id,
        )
