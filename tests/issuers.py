"""An issuer of tokens on this machine: publishes its keys, rotates them, and goes down."""

import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from joserfc import jws
from joserfc.jwk import Key, RSAKey

AUDIENCE = "safelight-tests"
CLIENT = "safelight-client"
CLIENT_SECRET = "a-secret-of-a-test-0123456789"  # noqa: S105
CODE = "a-code-of-a-test"
DOWN, HUGE, OTHER = "down", "huge", "other issuer"


def rsa(kid: str) -> RSAKey:
    """Return a new key pair."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


@dataclass
class StubIssuer:
    """The issuer; `asked` counts the fetches of its keys."""

    url: str = ""
    keys: list[Key] = field(default_factory=lambda: [rsa("first")])
    fault: str = ""
    tells_issuer: bool = True
    challenge: str = ""
    id_token: str = ""
    asked: int = 0

    @property
    def key(self) -> Key:
        """The key that it signs with now."""
        return self.keys[-1]

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a good access token, with changes; None takes a claim out."""
        now = int(time.time())
        good = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ann",
            "iat": now,
            "exp": now + 600,
            "scope": "jobs:read assets:read admin:write",
        }
        return {name: value for name, value in (good | changes).items() if value is not None}

    def token(self, header: dict[str, Any] | None = None, key: Any = None, **claims: Any) -> str:
        """Return a signed access token."""
        head = {"alg": "RS256", "typ": "at+jwt", "kid": self.key.kid} | (header or {})
        return jws.serialize_compact(
            {name: value for name, value in head.items() if value is not None},
            json.dumps(self.claims(**claims)),
            key or self.key,
            registry=jws.JWSRegistry(algorithms=[str(head["alg"])], strict_check_header=False),
        )

    def write(self, path: Path, **entries: str) -> Path:
        """Write the file of issuers with this one; `entries` are added as TOML."""
        more = "".join(f"{name} = {value}\n" for name, value in entries.items())
        path.write_text(
            f'[issuers.stub]\nissuer = "{self.url}"\naudience = "{AUDIENCE}"\n'
            f"allow_http = true\n{more}"
        )
        return path

    async def discovery(self, request: web.Request) -> web.Response:
        del request
        if self.fault == DOWN:
            return web.Response(status=503)
        issuer = "https://other.example" if self.fault == OTHER else self.url
        return web.json_response(
            {
                "issuer": issuer,
                "jwks_uri": f"{self.url}/keys",
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "authorization_response_iss_parameter_supported": self.tells_issuer,
            }
        )

    async def exchange(self, request: web.Request) -> web.Response:
        """Answer with `id_token`, if client and PKCE verifier are right."""
        form = await request.post()
        verifier = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).decode().rstrip("=")
        basic = base64.b64encode(f"{CLIENT}:{CLIENT_SECRET}".encode()).decode()
        is_right = request.headers.get("Authorization") == f"Basic {basic}"
        if not is_right or challenge != self.challenge or form["code"] != CODE:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response({"id_token": self.id_token, "token_type": "Bearer"})

    async def published(self, request: web.Request) -> web.Response:
        del request
        self.asked += 1
        if self.fault == DOWN:
            return web.Response(status=503)
        if self.fault == HUGE:
            return web.Response(body=b'{"keys": ["' + b"x" * 2**20 + b'"]}')
        return web.json_response({"keys": [key.as_dict(private=False) for key in self.keys]})


@asynccontextmanager
async def issuing() -> AsyncIterator[StubIssuer]:
    """Run an issuer."""
    issuer = StubIssuer()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", issuer.discovery)
    app.router.add_get("/keys", issuer.published)
    app.router.add_post("/token", issuer.exchange)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        issuer.url = f"http://{host}:{port}"
        yield issuer
    finally:
        await runner.cleanup()
