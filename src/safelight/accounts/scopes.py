"""The scopes of credentials. Pure."""

from collections.abc import Iterable
from enum import StrEnum


class Scope(StrEnum):
    """A permission of a credential, which has a set of them."""

    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    ASSETS_READ = "assets:read"
    ASSETS_WRITE = "assets:write"
    WEBHOOKS_READ = "webhooks:read"  # and contacts
    WEBHOOKS_WRITE = "webhooks:write"
    USAGE_READ = "usage:read"
    ACCOUNT_READ = "account:read"  # its settings, keys and audit log
    ACCOUNT_WRITE = "account:write"
    ADMIN_READ = "admin:read"  # the installation, with all accounts
    ADMIN_WRITE = "admin:write"


Scopes = frozenset[Scope]

OWNER_SCOPES: Scopes = frozenset(Scope)
"""Everything, the installation included."""

ACCOUNT_SCOPES: Scopes = frozenset(scope for scope in Scope if not scope.startswith("admin:"))
"""Everything in one account, its keys included."""

MEMBER_SCOPES: Scopes = frozenset(
    scope for scope in ACCOUNT_SCOPES if not scope.startswith("account:")
)
"""The scopes that an application needs: the default of a new key."""

VIEWER_SCOPES: Scopes = frozenset(scope for scope in ACCOUNT_SCOPES if scope.endswith(":read"))
"""Everything in one account that changes nothing."""


class Role(StrEnum):
    """The role of a person in an account."""

    VIEWER = "viewer"
    MEMBER = "member"
    ADMIN = "admin"

    @property
    def scopes(self) -> Scopes:
        """The scopes of the person's sessions in that account."""
        return _OF_ROLES[self]


_OF_ROLES = {
    Role.VIEWER: VIEWER_SCOPES,
    Role.MEMBER: MEMBER_SCOPES,
    Role.ADMIN: ACCOUNT_SCOPES,
}

PATTERNS: tuple[str, ...] = (
    *(scope.value for scope in Scope),
    *sorted({f"{scope.partition(':')[0]}:*" for scope in Scope}),
)
"""The accepted spellings of scopes; `jobs:*` means every scope of jobs."""


class UnknownScope(ValueError):
    """A scope that does not exist; the message names it and the existing ones."""


def expand(patterns: Iterable[str]) -> Scopes:
    """Return the scopes that `patterns` name; raise `UnknownScope`."""
    found: set[Scope] = set()
    for pattern in patterns:
        if pattern not in PATTERNS:
            raise UnknownScope(f"There is no scope `{pattern}`. Choose from {', '.join(PATTERNS)}.")
        area, _, right = pattern.partition(":")
        if right == "*":
            found |= {scope for scope in Scope if scope.startswith(f"{area}:")}
        else:
            found.add(Scope(pattern))
    return frozenset(found)
