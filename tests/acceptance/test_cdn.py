"""A server with a CDN in front: public addresses are its own, private ones are signed for it."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.acceptance.conftest import RunningServer
from tests.stubs.vendor import Call, Reply, Vendor

WAIT = {"Prefer": "wait=60"}
KEY_ID = "K2ABC"


class Edge(Vendor):
    """Serves a folder as CloudFront does: what is private only to signed addresses that hold."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.key = rsa.generate_private_key(65537, 2048)
        self.route("GET", "/kept/(.+)", self._file)

    def _file(self, call: Call) -> Reply:
        key = call.match[0]
        if key.startswith("private/") and not self._is_signed(call):
            return Reply(403, "Access denied")
        return Reply(200, (self._folder / key).read_bytes())

    def _is_signed(self, call: Call) -> bool:
        if call.query.get("Key-Pair-Id") != KEY_ID:
            return False
        policy, signature = (_plain(call.query[name]) for name in ("Policy", "Signature"))
        try:
            self.key.public_key().verify(signature, policy, padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        (statement,) = json.loads(policy)["Statement"]
        until = statement["Condition"]["DateLessThan"]["AWS:EpochTime"]
        return statement["Resource"] == self.url + call.path and time.time() < until


def _plain(text: str) -> bytes:
    return base64.b64decode(text.translate(str.maketrans("-_~", "+=/")))


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with Edge(tmp_path / "data" / "objects").running() as running:
        yield running


@pytest.fixture
async def api(edge: Edge, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    pem = tmp_path / "key.pem"
    pem.write_bytes(edge.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    server = RunningServer(
        tmp_path / "data",
        {
            "SAFELIGHT_FILES_URL": f"{edge.url}/kept",
            "SAFELIGHT_PRIVATE_FILES": "cloudfront",
            "SAFELIGHT_CLOUDFRONT_KEY_ID": KEY_ID,
            "SAFELIGHT_CLOUDFRONT_KEY": str(pem),
        },
    )
    await asyncio.to_thread(server.start)
    try:
        async with server.client() as client:
            yield client
    finally:
        await asyncio.to_thread(server.close)


async def test_picture_when_public_has_an_address_of_the_cdn_for_good(
    api: httpx2.AsyncClient, edge: Edge
) -> None:
    made = await api.post("/v1/generate", json={"prompt": "a boat"}, headers=WAIT)
    url = made.json()["outputs"][0]["url"]
    assert url.startswith(f"{edge.url}/kept/images/")
    assert urlsplit(url).query == ""
    async with httpx2.AsyncClient(trust_env=False) as anybody:
        assert (await anybody.get(url)).content[:4] == b"\x89PNG"


async def test_picture_when_private_is_sent_on_to_the_cdn_under_a_signature(
    api: httpx2.AsyncClient, edge: Edge
) -> None:
    wish = {"prompt": "a boat", "visibility": "private"}
    made = await api.post("/v1/generate", json=wish, headers=WAIT)
    url = made.json()["outputs"][0]["url"]
    async with httpx2.AsyncClient(trust_env=False) as anybody:
        sent_on = await anybody.get(url)
        assert sent_on.status_code == 307
        address = sent_on.headers["location"]
        assert address.startswith(f"{edge.url}/kept/private/")
        assert (await anybody.get(address)).content[:4] == b"\x89PNG"
        unsigned = urlsplit(address)._replace(query="").geturl()
        assert (await anybody.get(unsigned)).status_code == 403
        another = (await api.post("/v1/generate", json=wish, headers=WAIT)).json()["outputs"][0]
        other = (await anybody.get(another["url"])).headers["location"]
        swapped = f"{urlsplit(other)._replace(query='').geturl()}?{urlsplit(address).query}"
        assert (await anybody.get(swapped)).status_code == 403
