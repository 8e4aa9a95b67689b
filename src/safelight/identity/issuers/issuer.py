"""Issuers of tokens, as the operator describes them: docs/access.md explains each entry. Pure."""

from collections.abc import Mapping
from typing import Annotated, Any, Self, cast
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from safelight.accounts.scopes import MEMBER_SCOPES, PATTERNS, Role, Scope, Scopes, expand

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
"""The accepted signature algorithms: none with a shared secret, and no unsigned tokens."""

ACCESS_TOKEN = "at+jwt"  # noqa: S105  RFC 9068
_MOST_NAMES = 100  # of a claim; more are ignored
_NAME = r"^[a-z0-9][a-z0-9_-]{0,31}$"
FORMS = {_NAME: "a name has lower-case letters, digits, _ and -, at most 32."}
"""The meaning of each regular expression, for people."""

IssuerName = Annotated[str, StringConstraints(pattern=_NAME)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Patterns = Annotated[list[str], Field(max_length=100)]


class Table(BaseModel):
    """A table that rejects unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Published(Table):
    """An issuer with published keys, and the algorithms of its signatures."""

    issuer: Text
    keys_url: str = ""  # empty: as the issuer's discovery document says
    algorithms: Annotated[list[str], Field(min_length=1)] = ["RS256"]
    allow_http: bool = False

    @field_validator("algorithms")
    @classmethod
    def _are_asymmetric(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in ALGORITHMS:
                raise ValueError(
                    f"`{name[:20]}` is not accepted; choose from {', '.join(ALGORITHMS)}"
                )
        return names

    @model_validator(mode="after")
    def _has_fit_addresses(self) -> Self:
        for url in filter(None, (self.issuer, self.keys_url)):
            self.check_url(url)
        return self

    def check_url(self, url: str) -> None:
        """Raise `ValueError` unless `url` may be called: by https, or http where it is allowed."""
        try:
            parts = urlsplit(url)
            is_whole = bool(parts.hostname) and parts.port != 0
        except ValueError:
            raise ValueError("a URL is malformed") from None
        if not is_whole or parts.scheme not in ("https", "http"):
            raise ValueError("give whole URLs, such as https://id.example.com")
        if parts.scheme == "http" and not self.allow_http:
            raise ValueError(
                "plain http needs allow_http = true; everybody on the way could sign in"
            )


class Issuer(Published):
    """An issuer whose access tokens the API takes.

    `account` is the account of all its tokens; otherwise `account_claim` names the claim with the
    account's id. A token gets the scopes that `scope_claim` and `role_claim` give it, but never
    more than `grants`; without those two claims, all of `grants`.
    """

    audience: Annotated[list[Text], Field(min_length=1, max_length=10)]
    audience_claim: Text = "aud"
    types: Annotated[list[str], Field(min_length=1, max_length=5)] = [ACCESS_TOKEN]
    require: Mapping[str, str] = {}
    account: str = ""
    account_claim: str = ""
    grants: Patterns = sorted(MEMBER_SCOPES)
    scope_claim: str = "scope"
    scopes: Mapping[str, Patterns] = {}
    role_claim: str = ""
    roles: Mapping[str, Patterns] = {}
    rate_per_s: float | None = Field(default=None, gt=0)  # of each subject; None: unlimited

    @field_validator("audience", mode="before")
    @classmethod
    def _is_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("grants")
    @classmethod
    def _are_scopes(cls, patterns: list[str]) -> list[str]:
        expand(patterns)
        return patterns

    @field_validator("scopes", "roles")
    @classmethod
    def _lead_to_scopes(cls, table: Mapping[str, list[str]]) -> Mapping[str, list[str]]:
        for patterns in table.values():
            expand(patterns)
        return table

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.account) == bool(self.account_claim):
            raise ValueError("give either `account` or `account_claim`")
        if self.types != [ACCESS_TOKEN] and not self.require:
            raise ValueError(
                f"types other than `{ACCESS_TOKEN}` need `require`, with a claim that only access "
                'tokens have, such as require = { token_use = "access" }'
            )
        return self

    def scopes_of(self, claims: Mapping[str, Any]) -> Scopes:
        """Return the scopes of a token with these claims."""
        most = expand(self.grants)
        if not self.scope_claim and not self.role_claim:
            return most
        found: set[Scope] = set()
        for name in _names(claims.get(self.scope_claim)) if self.scope_claim else ():
            found |= expand(self.scopes.get(name, [name] if name in PATTERNS else []))
        for name in _names(claims.get(self.role_claim)) if self.role_claim else ():
            found |= expand(self.roles.get(name, []))
        return most & found


class LoginProvider(Published):
    """An OpenID Connect provider at which people sign in.

    With `account` and `role`, a person who is new here becomes a member; otherwise only those who
    connected their user before get in. `client_secret` is empty for a public client.
    """

    client_id: Text
    client_secret: str = Field(default="", repr=False)
    title: str = Field(default="", max_length=60)
    account: str = ""
    role: Role = Role.MEMBER


class Issuers(Table):
    """The whole file: issuers of the API's tokens, and providers of logins, by name."""

    issuers: Annotated[Mapping[IssuerName, Issuer], Field(max_length=20)] = {}
    logins: Annotated[Mapping[IssuerName, LoginProvider], Field(max_length=20)] = {}

    @field_validator("issuers")
    @classmethod
    def _are_different(cls, issuers: Mapping[str, Issuer]) -> Mapping[str, Issuer]:
        if len({one.issuer for one in issuers.values()}) < len(issuers):
            raise ValueError("two entries have the same `issuer`")
        return issuers


def _names(value: Any) -> list[str]:
    """Return the names of a claim: a text with spaces between them, or a list."""
    if isinstance(value, str):
        return value.split()[:_MOST_NAMES]
    listed = cast("list[Any]", value) if isinstance(value, list) else []
    return [one for one in listed[:_MOST_NAMES] if isinstance(one, str)]
