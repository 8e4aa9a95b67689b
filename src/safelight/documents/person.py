"""The documents of people: users, members, invitations, logins and sessions."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from safelight.documents.account import AccountId
from safelight.documents.values import Cursor, Moment

UserId = Annotated[str, Field(examples=["usr_01k9x3v7q2m8"])]
Email = Annotated[str, Field(examples=["ada@example.com"])]
RoleName = Literal["viewer", "member", "admin"]


class UserAccount(TypedDict):
    """An account of a user, with the role in it."""

    id: AccountId
    name: str
    role: RoleName


class User(TypedDict):
    """A person who can sign in."""

    id: UserId
    email: Email
    operator: Annotated[bool, Field(description="May do everything in the installation.")]
    two_step: Annotated[bool, Field(description="A code is asked for after the password.")]
    accounts: list[UserAccount]
    created_at: Moment
    verified_at: Annotated[Moment | None, Field(description="When a mail proved the address.")]
    disabled_at: Moment | None


class UserWithLink(User):
    """A new user; without a password, with the link to choose one."""

    url: Annotated[str | None, Field(description="Good once, for an hour; null: has a password.")]


class UserList(TypedDict):
    """A page of users."""

    data: list[User]
    next_cursor: Cursor


class PasswordLink(TypedDict):
    """A link to choose a new password, good once, for an hour."""

    url: str


class Myself(User):
    """The signed-in person."""

    account_id: Annotated[AccountId, Field(description="The account of this session.")]
    recovery_codes_left: int


class SignedIn(TypedDict):
    """A finished login, whose session is in a cookie; or one that needs a code still."""

    status: Literal["signed_in", "second_step"]
    account_id: AccountId | None
    accounts: Annotated[list[UserAccount], Field(description="All accounts of the user.")]
    token: Annotated[str | None, Field(description="Send it with the code, within 5 minutes.")]


class LoginProvider(TypedDict):
    """An OpenID Connect provider at which people sign in."""

    name: Annotated[str, Field(examples=["keycloak"])]
    title: str
    url: Annotated[str, Field(description="Send the browser there to sign in.")]


class LoginProviderList(TypedDict):
    """The login providers of this installation."""

    data: list[LoginProvider]


class BrowserSession(TypedDict):
    """An open session of the signed-in person."""

    id: Annotated[str, Field(examples=["key_01k9x3v7q2m8"])]
    account_id: AccountId
    current: bool
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Annotated[Moment | None, Field(description="To the minute.")]
    last_used_from: Annotated[str | None, Field(description="The caller's IP address.")]


class BrowserSessionList(TypedDict):
    """All open sessions of the signed-in person."""

    data: list[BrowserSession]
    next_cursor: Cursor


class TotpSetup(TypedDict):
    """A secret for an authenticator app, asked for once a code has confirmed it."""

    secret: Annotated[str, Field(description="In base 32, to type.")]
    address: Annotated[str, Field(examples=["otpauth://totp/…"])]


class RecoveryCodes(TypedDict):
    """Codes for a lost authenticator app, shown only once; each works once."""

    codes: list[str]


class Member(TypedDict):
    """A member of the account."""

    user_id: UserId
    email: Email
    role: RoleName
    created_at: Moment
    disabled_at: Annotated[Moment | None, Field(description="When an operator disabled the user.")]


class MemberList(TypedDict):
    """A page of members."""

    data: list[Member]
    next_cursor: Cursor


class Invitation(TypedDict):
    """An invitation to the account."""

    id: Annotated[str, Field(examples=["inv_01k9x3v7q2m8"])]
    email: Email
    role: RoleName
    created_at: Moment
    expires_at: Moment
    accepted_at: Moment | None
    revoked_at: Moment | None


class InvitationWithLink(Invitation):
    """A new invitation, with its link where no mail carries it."""

    url: Annotated[str | None, Field(description="Null: it went by mail.")]


class InvitationList(TypedDict):
    """A page of invitations."""

    data: list[Invitation]
    next_cursor: Cursor


class Welcome(TypedDict):
    """An open invitation, as its link shows it."""

    account: str
    email: Email
    role: RoleName
    has_user: Annotated[bool, Field(description="The address has a user: sign in to accept.")]
