"""A server is led every kind of secret, and most of them go wrong: its log shows none of them."""

import base64
import os
from pathlib import Path

import httpx2

from tests import pictures
from tests.acceptance.conftest import RunningServer
from tests.leaks import LEAKS
from tests.servers import free_port, wait_until_async

SMTP_PASSWORD = "hunter2-hunter2"  # noqa: S105  opens nothing
FAL_KEY = "key-id:key-of-a-test"
IN_ADDRESS = "address-secret-42"
TOKEN = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=")
    for part in (
        b'{"alg":"RS256","typ":"at+jwt","kid":"x"}',
        b'{"iss":"https://127.0.0.1:9","aud":"media"}',
        b"signature",
    )
)
ISSUERS = """
[issuers.away]
issuer = "https://127.0.0.1:9"
audience = "media"
account = "acc_1"
"""
WAIT = {"Prefer": "wait=20"}


async def test_log_when_secrets_come_in_every_way_shows_none_of_them(tmp_path: Path) -> None:
    nobody = free_port()
    issuers, key = tmp_path / "issuers.toml", tmp_path / "key"
    issuers.write_text(ISSUERS)
    encryption_key = base64.b64encode(os.urandom(32)).decode()
    key.write_text(f"{encryption_key}\n")
    settings = {
        "SAFELIGHT_ISSUERS": str(issuers),
        "SAFELIGHT_ENCRYPTION_KEY_FILE": str(key),
        "SAFELIGHT_MAIL_URL": f"smtp://news:{SMTP_PASSWORD}@127.0.0.1:{nobody}",
        "SAFELIGHT_MAIL_FROM": "news@example.com",
        "SAFELIGHT_FAL_KEY": FAL_KEY,
        "SAFELIGHT_FAL_QUEUE_URL": f"http://127.0.0.1:{nobody}",
        "SAFELIGHT_FETCH_ALLOW_PRIVATE": "1",
        "SAFELIGHT_FETCH_PORTS": str(nobody),
        "SAFELIGHT_MAX_ATTEMPTS": "1",
    }
    server = RunningServer(tmp_path / "data", settings, is_public=True)
    LEAKS.note(IN_ADDRESS, "what a user's address holds")
    LEAKS.note(TOKEN, "a token of an issuer")
    LEAKS.note(encryption_key, "the encryption key")
    server.start()
    try:
        async with server.client() as api:
            await _give_secrets(api, server, f"http://127.0.0.1:{nobody}/x?key={IN_ADDRESS}")
    finally:
        server.close()
    told = server.log.read_text()
    assert "request" in told
    assert list(LEAKS.found_in(server.log)) == []


async def _give_secrets(api: httpx2.AsyncClient, server: RunningServer, away: str) -> None:
    async with httpx2.AsyncClient(base_url=server.url, trust_env=False) as browser:
        assert (await browser.get(server.login_url)).status_code == 303
        assert (await browser.get("/v1/account")).status_code == 200, "by its session"
    wrong = {"Authorization": f"Bearer sk_{'0' * 32}"}
    assert (await api.post("/v1/generate", headers=wrong)).status_code == 401
    by_token = {"Authorization": f"Bearer {TOKEN}"}
    assert (await api.get("/v1/jobs", headers=by_token)).status_code == 503, "its issuer is away"
    for method in ("POST", "PUT", "GET"):
        answer = await api.request(method, f"/callbacks/fal/att_1.{'s' * 22}", content=b"{}")
        assert answer.status_code in (404, 405)

    assert (await api.get("/v1/account/signing-key")).status_code == 200
    file = {"file": ("a.png", pictures.picture()), "visibility": (None, "private")}
    kept = (await api.post("/v1/uploads", files=file)).json()
    for address in (kept["url"], f"{kept['url']}x", kept["url"].replace("until=", "until=1")):
        await api.get(address, headers={"Authorization": ""})
    signed = (await api.get(f"/v1/assets/{kept['id']}/renditions?w=9")).json()["url"]
    assert (await api.get(signed)).status_code == 200

    made = (await api.post("/v1/webhooks", json={"url": away, "events": ["*"]})).json()
    assert (await api.post(f"/v1/webhooks/{made['id']}/rotate")).status_code == 200
    assert (await api.post(f"/v1/webhooks/{made['id']}/test")).status_code == 202
    contact = {"channel": "email", "address": "ann@example.com"}
    told = (await api.post("/v1/contacts", json=contact)).json()
    lost = await api.post("/v1/images", json={"url": away}, headers=WAIT)
    assert lost.json()["status"] == "failed"
    body = {"prompt": "a cat", "model": "fal/fal-ai/flux/schnell"}
    assert (await api.post("/v1/generate", json=body, headers=WAIT)).status_code in (200, 202)

    async def were_tried() -> bool:
        sent = (await api.get(f"/v1/webhooks/{made['id']}/deliveries")).json()["data"]
        asked = (await api.get(f"/v1/contacts/{told['id']}/notices")).json()["data"]
        return any(each["error"] for each in sent) and any(each["error"] for each in asked)

    await wait_until_async(were_tried, 30)
