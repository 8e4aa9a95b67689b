"""Signs CloudFront URLs of private files, with a custom policy and SHA-256.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-custom-policy.html
"""

import base64
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import orjson
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

_URL_SAFE = str.maketrans("+=/", "-_~")


class CloudFrontSigner:
    """Signs URLs of one distribution."""

    def __init__(self, files_url: str, key_id: str, key: Path) -> None:
        """`files_url` is the URL prefix; `key` is a PEM file without a password.

        Raises `ValueError` if the file contains no key type that CloudFront supports.
        """
        self._files_url = files_url
        self._key_id = key_id
        self._sign = _signing(key)

    async def address(self, key: str, *, lifetime: timedelta) -> str:
        """Return a signed URL, valid for `lifetime`."""
        url = f"{self._files_url}/{key}"
        ends = {"DateLessThan": {"AWS:EpochTime": int(time.time() + lifetime.total_seconds())}}
        policy = orjson.dumps({"Statement": [{"Resource": url, "Condition": ends}]})
        return (
            f"{url}?Policy={_encoded(policy)}&Signature={_encoded(self._sign(policy))}"
            f"&Key-Pair-Id={self._key_id}&Hash-Algorithm=SHA256"
        )


def _signing(path: Path) -> Callable[[bytes], bytes]:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as a private key: {error}") from None
    if isinstance(key, rsa.RSAPrivateKey):
        return lambda content: key.sign(content, padding.PKCS1v15(), SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return lambda content: key.sign(content, ec.ECDSA(SHA256()))
    raise ValueError(f"{path} contains no RSA or ECDSA key.")


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode().translate(_URL_SAFE)
