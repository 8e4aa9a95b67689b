"""The documents of API keys."""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from safelight.documents.account import ScopeName
from safelight.documents.values import Cursor, Moment


class Key(TypedDict):
    """An API key, without its secret."""

    id: Annotated[str, Field(examples=["key_01k9x3v7q2m8"])]
    name: str
    hint: Annotated[str, Field(description="The start of the secret.", examples=["sk_4fh2x…"])]
    scopes: list[ScopeName]
    rate_per_s: Annotated[
        float | None, Field(description="Requests per second, per API process; null: unlimited.")
    ]
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None
    last_used_at: Annotated[Moment | None, Field(description="To the minute.")]
    last_used_from: Annotated[str | None, Field(description="The caller's IP address.")]


class KeyWithSecret(Key):
    """A new API key with its secret, which is shown only once."""

    key: Annotated[str, Field(description="The secret: send it as `Authorization: Bearer …`.")]


class KeyList(TypedDict):
    """A page of API keys."""

    data: list[Key]
    next_cursor: Cursor
