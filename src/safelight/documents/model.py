"""The document of a model: what it takes, and what it costs."""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from safelight.documents.values import Cursor, Kind, LaneName, Micros, Role
from safelight.json_object import JsonObject


class PriceAmount(TypedDict):
    """An amount that applies to jobs with all of these params."""

    price: float
    when: JsonObject


class TokenPrice(TypedDict):
    """Amounts for a million tokens each."""

    text_input: float
    image_input: float
    output: float


class ModelPrice(TypedDict):
    """How a job's cost is computed, in whole units of the installation's currency."""

    job: float
    output: float
    outputs: list[PriceAmount]
    megapixel: float
    second: float
    tokens: TokenPrice | None
    extras: list[PriceAmount]


class Model(TypedDict):
    """A model that jobs can use."""

    id: Annotated[str, Field(examples=["sketch"])]
    provider: Annotated[str, Field(examples=["sketch"])]
    title: str
    description: str
    kinds: list[Kind]
    lane: LaneName
    params_schema: Annotated[
        JsonObject, Field(description="JSON Schema (2020-12) that a job's params must match.")
    ]
    max_inputs: int
    timeout_s: Annotated[float, Field(examples=[60.0])]
    roles: Annotated[list[Role], Field(description="Roles its input pictures may have.")]
    price_micros: Micros
    price: ModelPrice | None
    degraded: Annotated[
        bool, Field(description="Its provider is paused after failures; its jobs wait.")
    ]


class ModelList(TypedDict):
    """The models that an account may use."""

    data: list[Model]
    aliases: Annotated[
        dict[str, list[str]], Field(description="Model ids in order of preference, by alias.")
    ]
    currency: Annotated[str, Field(description="ISO 4217.", examples=["USD"])]
    next_cursor: Cursor
