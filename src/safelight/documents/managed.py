"""The documents of accounts as operators of the installation see them."""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from safelight.documents.account import AccountId
from safelight.documents.key import KeyWithSecret
from safelight.documents.values import Cursor, Moment


class ManagedAccount(TypedDict):
    """An account, as the installation's operator sees it."""

    id: AccountId
    name: str
    max_in_flight: Annotated[int | None, Field(description="Concurrent jobs; null: the default.")]
    hold: Annotated[str, Field(description="Reason of the legal hold; empty when there is none.")]
    suspended_at: Annotated[Moment | None, Field(description="Null: the account is open.")]
    suspended_for: Annotated[str, Field(description="Reason, as the account's callers read it.")]
    created_at: Moment


class OpenedAccount(TypedDict):
    """A new account with its first API key, which is shown only once."""

    account: ManagedAccount
    key: KeyWithSecret


class ManagedAccountList(TypedDict):
    """A page of accounts."""

    data: list[ManagedAccount]
    next_cursor: Cursor
