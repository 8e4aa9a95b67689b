"""CloudFront: addresses that AWS's own signer makes too, and what it is told has gone."""

import asyncio
import base64
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from safelight.storage.cloudfront import CloudFrontCdn
from safelight.storage.errors import StorageFailed
from safelight.storage.signer import CloudFrontSigner
from tests import brokers, buckets
from tests.brokers import Broker
from tests.servers import free_port

BASE = "https://d111.cloudfront.net/kept"
KEY = "private/images/job_1/abc.png"
RSA = rsa.generate_private_key(65537, 2048)
ECDSA = ec.generate_private_key(ec.SECP256R1())


def write(key: Any, folder: Path) -> Path:
    path = folder / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def read(text: str) -> bytes:
    return base64.b64decode(text.translate(str.maketrans("-_~", "+=/")))


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
async def test_address_when_signed_holds_by_the_public_key(kind: str, tmp_path: Path) -> None:
    path = write(RSA if kind == "rsa" else ECDSA, tmp_path)
    signer = CloudFrontSigner(BASE, "K123", path)
    address = urlsplit(await signer.address(KEY, lifetime=timedelta(minutes=5)))
    asked = {name: values[0] for name, values in parse_qs(address.query).items()}
    policy, signature = read(asked["Policy"]), read(asked["Signature"])
    if kind == "rsa":
        RSA.public_key().verify(signature, policy, padding.PKCS1v15(), SHA256())
    else:
        ECDSA.public_key().verify(signature, policy, ec.ECDSA(SHA256()))
    (statement,) = orjson.loads(policy)["Statement"]
    assert statement["Resource"] == f"{BASE}/{KEY}" == address._replace(query="").geturl()
    assert asked["Key-Pair-Id"] == "K123"
    assert asked["Hash-Algorithm"] == "SHA256"


def test_signer_when_the_file_holds_no_fitting_key_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no RSA or ECDSA"):
        CloudFrontSigner(BASE, "K123", write(ed25519.Ed25519PrivateKey.generate(), tmp_path))
    (tmp_path / "none.pem").write_text("nothing")
    with pytest.raises(ValueError, match="cannot be read"):
        CloudFrontSigner(BASE, "K123", tmp_path / "none.pem")
    with pytest.raises(ValueError, match="cannot be read"):
        CloudFrontSigner(BASE, "K123", tmp_path / "missing.pem")


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with brokers.running(brokers.sqs(tmp_path_factory.mktemp("moto"))) as server:
        yield server


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, moto: Broker) -> None:
    for name, value in buckets.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{moto.port}")


def _new_distribution(cloudfront: Any) -> str:
    behavior = {"TargetOriginId": "kept", "ViewerProtocolPolicy": "https-only"}
    origin = {"Id": "kept", "DomainName": "kept.s3.amazonaws.com", "S3OriginConfig": {}}
    origin["S3OriginConfig"] = {"OriginAccessIdentity": ""}
    config = {
        "CallerReference": "tests",
        "Origins": {"Quantity": 1, "Items": [origin]},
        "DefaultCacheBehavior": behavior,
        "Comment": "",
        "Enabled": True,
    }
    return cloudfront.create_distribution(DistributionConfig=config)["Distribution"]["Id"]


@pytest.mark.usefixtures("credentials")
async def test_forget_when_files_have_gone_names_each_once(moto: Broker) -> None:
    cloudfront = buckets.client(moto, "cloudfront")
    distribution = await asyncio.to_thread(_new_distribution, cloudfront)
    cdn = CloudFrontCdn(distribution, BASE)
    keys = [f"images/job_1/{number}.png" for number in range(1500)]
    await cdn.forget(keys)
    await cdn.forget([])
    listed = cloudfront.list_invalidations(DistributionId=distribution)["InvalidationList"]
    told: list[str] = []
    for each in listed["Items"]:
        found = cloudfront.get_invalidation(DistributionId=distribution, Id=each["Id"])
        told += found["Invalidation"]["InvalidationBatch"]["Paths"]["Items"]
    assert sorted(told) == sorted(f"/kept/{key}" for key in keys)


@pytest.mark.usefixtures("credentials")
async def test_forget_when_it_is_not_taken_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageFailed):
        await CloudFrontCdn("ENOSUCH", BASE).forget(["images/x.png"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StorageFailed):
        await CloudFrontCdn("ENOSUCH", BASE).forget(["images/x.png"])
