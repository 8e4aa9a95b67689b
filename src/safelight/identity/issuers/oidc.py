"""Signs people in at OpenID Connect providers: authorization code, PKCE, state and nonce.

All that a login needs to remember is one random secret in a cookie of the browser: state, nonce and
the PKCE verifier are derived from it and from the provider's name, so that a response is accepted
only in the browser that began, and only from the provider it was sent to.
"""

import base64
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from safelight.accounts.account import same
from safelight.errors import NotFound, SafelightError
from safelight.fetch.errors import FetchError
from safelight.fetch.trusted import TrustedClient
from safelight.identity.errors import IssuerUnavailable, ProviderLoginFailed
from safelight.identity.issuers.issuer import LoginProvider
from safelight.identity.issuers.key_set import KeySet, discover
from safelight.identity.issuers.token import Unverified, audiences, checked, refused

_KNOWN_S = 600.0  # for which a discovery document is used
_MAX_PARAMETER = 4_096
_TYPES = ("", "jwt")


@dataclass(frozen=True, slots=True)
class Response:
    """The query of the redirect back from a provider."""

    state: str = ""
    code: str = ""
    issuer: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class ProvenIdentity:
    """A person as a provider knows them. Only `issuer` and `subject` together say who it is."""

    provider: str
    issuer: str
    subject: str
    email: str  # empty: the provider does not tell, or has not verified it


@dataclass(frozen=True, slots=True)
class _Known:
    document: Mapping[str, Any]
    until: float  # of the monotonic clock


class Oidc:
    """The providers by name. `clock` gives seconds since 1970, `ticks` is a monotonic clock."""

    def __init__(
        self,
        providers: Mapping[str, LoginProvider],
        client: TrustedClient,
        *,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.providers = providers
        self._client = client
        self._clock = clock
        self._ticks = ticks
        self._keys = {name: KeySet(each, client, ticks) for name, each in providers.items()}
        self._known: dict[str, _Known] = {}

    async def start(self, name: str, secret: str, redirect_uri: str) -> str:
        """Return the provider's address to send the browser to.

        `secret` is kept by the browser. Raises `NotFound` or `IssuerUnavailable`.
        """
        provider = self._provider(name)
        document = await self._document(name)
        verifier = _derived("verifier", name, secret)
        asked = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid email",
            "state": _derived("state", name, secret),
            "nonce": _derived("nonce", name, secret),
            "code_challenge": _digest(verifier),
            "code_challenge_method": "S256",
        }
        url = str(document["authorization_endpoint"])
        return f"{url}{'&' if '?' in url else '?'}{urlencode(asked)}"

    async def finish(
        self, name: str, secret: str, response: Response, redirect_uri: str
    ) -> ProvenIdentity:
        """Return the person of a provider's response.

        Raises `ProviderLoginFailed` for a response that this browser did not ask for, or that
        proves nobody; `NotFound`, `IssuerUnavailable`.
        """
        provider = self._provider(name)
        document = await self._document(name)
        if not secret or not same(response.state, _derived("state", name, secret)):
            raise ProviderLoginFailed("This login was not begun in this browser, or took too long.")
        told = document.get("authorization_response_iss_parameter_supported") is True
        if (response.issuer or told) and response.issuer != provider.issuer:
            raise ProviderLoginFailed("The response is of another provider.")
        if response.error or not response.code or len(response.code) > _MAX_PARAMETER:
            raise ProviderLoginFailed("The provider did not sign you in.")
        token = await self._exchange(name, document, response.code, secret, redirect_uri)
        return await self._identity(name, token, _derived("nonce", name, secret))

    def _provider(self, name: str) -> LoginProvider:
        if name not in self.providers:
            raise NotFound("There is no such login provider.")
        return self.providers[name]

    async def _document(self, name: str) -> Mapping[str, Any]:
        known = self._known.get(name)
        if known is not None and self._ticks() < known.until:
            return known.document
        try:
            document = await discover(
                self.providers[name], self._client, "authorization_endpoint", "token_endpoint"
            )
        except (FetchError, ValueError):
            if known is not None:
                return known.document
            raise IssuerUnavailable("The login provider cannot be reached. Try again.") from None
        self._known[name] = _Known(document, self._ticks() + _KNOWN_S)
        return document

    async def _exchange(
        self, name: str, document: Mapping[str, Any], code: str, secret: str, redirect_uri: str
    ) -> str:
        """Return the id token that the provider gives for the code."""
        provider = self.providers[name]
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": provider.client_id,
            "code_verifier": _derived("verifier", name, secret),
        }
        headers: dict[str, str] = {}
        if provider.client_secret:
            methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
            if "client_secret_basic" in methods:
                pair = f"{quote(provider.client_id)}:{quote(provider.client_secret, safe='')}"
                headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            else:
                fields["client_secret"] = provider.client_secret
        try:
            answer = await self._client.post(str(document["token_endpoint"]), fields, headers)
        except FetchError as error:
            raise ProviderLoginFailed(f"The provider refused the login: {error.detail}") from None
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise ProviderLoginFailed("The provider sent no id token.")
        return token

    async def _identity(self, name: str, token: str, nonce: str) -> ProvenIdentity:
        provider = self.providers[name]
        try:
            read = Unverified.read(token)
            _check_use(read, provider, nonce)
            await self._keys[name].verify(token, read)
            claims = checked(read.claims, self._clock())
        except IssuerUnavailable:
            raise
        except SafelightError as error:
            raise ProviderLoginFailed(error.detail) from None
        email = read.claims.get("email")
        is_verified = read.claims.get("email_verified") in (True, "true")  # Cognito's is a text
        return ProvenIdentity(
            name,
            provider.issuer,
            claims.subject,
            email if isinstance(email, str) and is_verified else "",
        )


def _check_use(read: Unverified, provider: LoginProvider, nonce: str) -> None:
    """Raise `Unauthenticated` unless it is an id token of the provider for this login."""
    if read.issuer != provider.issuer:
        raise refused("it is of another issuer")
    if read.algorithm not in provider.algorithms:
        raise refused("its algorithm is not one of the provider's")
    if read.type.lower() not in _TYPES or read.claims.get("token_use", "id") != "id":
        raise refused("it is no id token")
    named = audiences(read.claims.get("aud"))
    if provider.client_id not in named:
        raise refused("its audience is not this server")
    if read.claims.get("azp", provider.client_id) != provider.client_id:
        raise refused("it was issued to another client")
    if not same(str(read.claims.get("nonce", "")), nonce):
        raise refused("it is not of this login")


def _derived(purpose: str, name: str, secret: str) -> str:
    return _digest(f"{purpose}:{name}:{secret}")


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
