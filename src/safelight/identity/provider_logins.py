"""Signs people in by their identity at a provider; connects identities to users.

An identity is issuer and subject. An address proves nothing about a user who is here already: only
the signed-in user connects an identity.
"""

from datetime import timedelta

from safelight import audit
from safelight.accounts import store as account_store
from safelight.audit import NewLine
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.identity import identity_store, member_store, store
from safelight.identity.errors import IdentityNotConnected, ProviderLoginFailed
from safelight.identity.issuers.issuer import LoginProvider
from safelight.identity.issuers.oidc import Oidc, ProvenIdentity, Response
from safelight.identity.logins import Logins, SignedIn
from safelight.identity.user import User, checked_email, hash_token

LOGIN_LASTS = timedelta(minutes=10)


class ProviderLogins:
    """The logins at providers."""

    def __init__(self, database: Database, oidc: Oidc, logins: Logins) -> None:
        self._db = database
        self._oidc = oidc
        self._logins = logins

    @property
    def titles(self) -> dict[str, str]:
        """The titles of the providers by name."""
        return {name: each.title or name for name, each in self._oidc.providers.items()}

    async def start(
        self, name: str, secret: str, redirect_uri: str, *, connect: str | None = None
    ) -> str:
        """Return the address to send the browser to; `connect` is the user who is signed in.

        Raises `NotFound`, `IssuerUnavailable`, `LoginOff`.
        """
        self._logins.check_allowed()
        url = await self._oidc.start(name, secret, redirect_uri)
        if connect is not None:
            digest = hash_token(secret)
            await self._db.write(
                lambda tx: identity_store.keep_request(tx, connect, digest, lasts=LOGIN_LASTS)
            )
        return url

    async def finish(
        self, name: str, secret: str, response: Response, redirect_uri: str
    ) -> SignedIn:
        """Return a new session of the person in a provider's response.

        Raises `ProviderLoginFailed`, `IdentityNotConnected`, `NotFound`, `IssuerUnavailable`,
        `NoAccount`, `LoginOff`.
        """
        self._logins.check_allowed()
        proven = await self._oidc.finish(name, secret, response, redirect_uri)
        provider = self._oidc.providers[name]
        digest = hash_token(secret)

        def write(tx: Connection) -> User:
            asker = identity_store.use_request(tx, digest)
            if asker is not None:
                return _connected(tx, asker, proven)
            known = identity_store.find_user(tx, proven.issuer, proven.subject)
            return _existing(tx, known) if known else _joined(tx, provider, proven)

        return await self._logins.enter(await self._db.write(write), None)


def _connected(tx: Connection, user_id: str, proven: ProvenIdentity) -> User:
    if not identity_store.connect(tx, user_id, proven.issuer, proven.subject):
        raise ProviderLoginFailed("Another user has connected this identity.")
    for membership in member_store.of_user(tx, user_id):
        told = {"provider": proven.provider, "subject": proven.subject}
        line = NewLine(membership.account_id, user_id, "user.identity_connected", user_id, told)
        audit.append(tx, [line])
    return _existing(tx, user_id)


def _joined(tx: Connection, provider: LoginProvider, proven: ProvenIdentity) -> User:
    """Return a new user, a member of the provider's account."""
    if not provider.account:
        raise IdentityNotConnected(
            "Nobody here has connected this identity. Sign in another way, then connect it."
        )
    if not proven.email:
        raise ProviderLoginFailed("The provider has not verified your e-mail address.")
    try:
        email = checked_email(proven.email)
    except ValueError:
        raise ProviderLoginFailed("The provider's e-mail address is malformed.") from None
    account = account_store.get_account(tx, provider.account)
    if account is None or account.suspended_at or account.deleted_at:
        raise ProviderLoginFailed("New people cannot join by this provider now.")
    user = store.insert(tx, email, password="")
    if user is None:  # an address is no proof of being that user
        raise IdentityNotConnected(
            "A user of your address is here already. Sign in with the password, then connect this "
            "identity."
        )
    store.set_email(tx, user.id, email)
    member_store.add(tx, account.id, user.id, provider.role)
    identity_store.connect(tx, user.id, proven.issuer, proven.subject)
    told = {"provider": proven.provider, "email": email, "role": provider.role.value}
    audit.append(tx, [NewLine(account.id, user.id, "user.joined", user.id, told)])
    return user


def _existing(tx: Connection, user_id: str) -> User:
    user = store.find(tx, user_id)
    if user is None or user.disabled_at is not None:
        raise ProviderLoginFailed("This user is disabled.")
    return user
