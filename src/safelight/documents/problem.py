"""The problem document (RFC 9457) that every refusal and failure carries."""

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict


class FieldError(TypedDict):
    """One invalid field of a request."""

    field: Annotated[str, Field(description="Path to the field.", examples=["prompt"])]
    message: Annotated[str, Field(examples=["Field required"])]
    code: NotRequired[Annotated[str, Field(description="Error code, when there is one.")]]
    name: NotRequired[Annotated[str, Field(description="Name of the file, in an upload.")]]
    choices: NotRequired[Annotated[list[str], Field(description="Values that would do.")]]


class Problem(TypedDict):
    """Why a request was refused or a job failed (RFC 9457). Programs should branch on `code`."""

    type: Annotated[
        str, Field(description="Where the code is explained.", examples=["/problems/not_found"])
    ]
    title: Annotated[str, Field(examples=["Not found"])]
    status: Annotated[int, Field(description="HTTP status.", examples=[404])]
    code: Annotated[str, Field(description="Stable error code.", examples=["not_found"])]
    detail: Annotated[str, Field(examples=["There is no such job."])]
    errors: NotRequired[list[FieldError]]
    retry_after_s: NotRequired[float]
    instance: NotRequired[Annotated[str, Field(description="Path of the request.")]]
    request_id: NotRequired[
        Annotated[str | None, Field(description="Id of the request, as in `X-Request-ID`.")]
    ]


class ProblemType(TypedDict):
    """The explanation of an error code."""

    code: Annotated[str, Field(examples=["not_found"])]
    status: Annotated[int, Field(examples=[404])]
    title: Annotated[str, Field(examples=["Not found"])]
    meaning: str
