"""Fields of bodies about people: addresses, passwords, tokens, codes, roles."""

from typing import Annotated

from pydantic import AfterValidator, Field

from safelight.accounts.scopes import Role
from safelight.identity.user import MOST_EMAIL, MOST_PASSWORD, checked_email
from safelight.jobs.fields import storable


def _loosely(text: str) -> str:
    """Return the normal form, or the text itself: nobody has that address, and nothing tells."""
    try:
        return checked_email(storable(text))
    except ValueError:
        return storable(text)


Email = Annotated[
    str,
    Field(min_length=3, max_length=MOST_EMAIL, examples=["ada@example.com"]),
    AfterValidator(checked_email),
]
AnyEmail = Annotated[
    str,
    Field(min_length=1, max_length=MOST_EMAIL, examples=["ada@example.com"]),
    AfterValidator(_loosely),
]
PasswordText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MOST_PASSWORD,
        description="Taken as typed, spaces included.",
        examples=["correct horse battery staple"],
    ),
]
Password = Annotated[PasswordText, Field(repr=False)]
Token = Annotated[str, Field(min_length=1, max_length=100, repr=False, description="Of the link.")]
Code = Annotated[
    str,
    Field(
        min_length=6,
        max_length=40,
        repr=False,
        description="Of the authenticator app, or a recovery code.",
        examples=["123456"],
    ),
]
RoleField = Annotated[Role, Field(strict=False)]
