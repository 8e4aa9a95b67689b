"""The certificate authorities that outgoing connections trust.

Contexts are shared, because reading the authorities takes tens of milliseconds and megabytes.
"""

import os
import platform
import ssl
from functools import cache
from pathlib import Path

import truststore

# For a Python whose OpenSSL was built for another system.
_BUNDLES = (
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/ca-bundle.pem",
)
_HASHED = "[0-9a-f]" * 8 + ".[0-9]"  # names of the files that OpenSSL finds in a folder


@cache
def system() -> ssl.SSLContext:
    """Trust the operating system's authorities, whatever the environment says."""
    if platform.system() in ("Darwin", "Windows"):
        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    paths = ssl.get_default_verify_paths()
    files = [file for file in (paths.openssl_cafile, *_BUNDLES) if Path(file).is_file()]
    folder = Path(paths.openssl_capath)
    return _trusting(files[0] if files else None, folder if any(folder.glob(_HASHED)) else None)


@cache
def environment() -> ssl.SSLContext:
    """Trust the authorities of SSL_CERT_FILE or SSL_CERT_DIR, else the system's.

    Raises `OSError` if they cannot be read.
    """
    if file := os.environ.get("SSL_CERT_FILE"):  # noqa: TID251  OpenSSL's, not ours
        return _trusting(file, None)
    if folder := os.environ.get("SSL_CERT_DIR"):  # noqa: TID251
        return _trusting(None, Path(folder))
    return system()


def _trusting(file: str | None, folder: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if file or folder:
        context.load_verify_locations(file, folder)
    return context
