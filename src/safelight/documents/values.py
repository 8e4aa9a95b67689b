"""Field types that several documents share."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from safelight.json_object import JsonObject

Moment = Annotated[
    datetime | str,
    WithJsonSchema(
        {"type": "string", "format": "date-time", "examples": ["2026-11-30T12:00:00.000000Z"]}
    ),
]
"""A point in time: a `datetime` where a document is built, RFC 3339 text where it is read."""

Cursor = Annotated[
    str | None,
    Field(description="Pass it as `cursor` to get the next page; null on the last page."),
]
Metadata = Annotated[
    JsonObject, Field(description="Your own JSON, returned unchanged.", examples=[{"sku": 7}])
]
Tags = Annotated[list[str], Field(examples=[["cats"]])]
Micros = Annotated[
    int | None,
    Field(
        description="Millionths of the installation's currency; null when unknown.",
        examples=[40_000],
    ),
]
Percent = Annotated[float, Field(description="0 to 100.", examples=[100.0])]
Url = Annotated[str, Field(examples=["https://safelight.example/v1/…"])]

Kind = Literal["text_to_image", "image_to_image", "import_image", "image_to_3d"]
Status = Literal["queued", "running", "succeeded", "failed", "canceled"]
Visibility = Literal["public", "private"]
Role = Literal["reference", "mask", "front", "left", "back", "right"]
LaneName = Literal["local", "gpu", "remote", "ingest"]
DeliveryState = Literal["pending", "delivered", "failed"]
