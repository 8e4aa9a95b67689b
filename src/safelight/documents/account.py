"""The documents of an account: itself, its signing key, its audit log."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from safelight.documents.values import Cursor, Moment, Visibility
from safelight.json_object import JsonObject

AccountId = Annotated[str, Field(examples=["acc_01k9x3v7q2m8"])]
KeptSeconds = Annotated[float | None, Field(description="Null: as the installation is configured.")]


ScopeName = Annotated[
    Literal[
        "jobs:read",
        "jobs:write",
        "assets:read",
        "assets:write",
        "webhooks:read",
        "webhooks:write",
        "usage:read",
        "account:read",
        "account:write",
        "admin:read",
        "admin:write",
    ],
    Field(description="A permission.", examples=["jobs:read"]),
]


class Account(TypedDict):
    """An account, as one of its API keys sees it."""

    id: AccountId
    name: str
    scopes: Annotated[list[ScopeName], Field(description="What this credential may do.")]
    visibility: Annotated[Visibility, Field(description="Default for new assets.")]
    keep_image_s: KeptSeconds
    keep_model_3d_s: KeptSeconds
    held: Annotated[bool, Field(description="Everything is under legal hold.")]
    created_at: Moment


class SigningKey(TypedDict):
    """The key that signs URLs of renditions."""

    signing_key: str


class LoginLink(TypedDict):
    """A link that signs a browser in, once."""

    url: str
    expires_at: Moment


class AuditLine(TypedDict):
    """One thing somebody did."""

    id: Annotated[str, Field(examples=["aud_01k9x3v7q2m8"])]
    account_id: AccountId
    at: Moment
    actor: Annotated[str, Field(description="An API key's id, or `retention`.")]
    action: Annotated[str, Field(examples=["asset.deleted"])]
    subject: Annotated[str, Field(examples=["ast_01k9x3v7q2m8"])]
    data: JsonObject


class AuditList(TypedDict):
    """A page of the audit log."""

    data: list[AuditLine]
    next_cursor: Cursor
