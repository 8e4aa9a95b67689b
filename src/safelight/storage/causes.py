"""Explains an object store's error: its status, its code, and what to do about it."""

import re

_STATUS = re.compile(r"status code: (\d{3})\b")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>|\"(?:code|reason)\":\s*\"(\w{1,60})\"")
_QUERY = re.compile(r"\?[^\s,)\"]*")  # of a URL; it may hold a signature
_MOST_CHARS = 500

_CREDENTIALS = "Check the store's access key and secret."
_RIGHTS = "Allow its credentials to read, write, list and delete objects."
_CHECKSUM = "If it supports no checksums, add checksum=none to SAFELIGHT_STORAGE."
_BUCKET = "Create the bucket, or correct its name in SAFELIGHT_STORAGE."
_REGION = "Correct the region in SAFELIGHT_STORAGE."
_CLOCK = "Set the clock of this machine."
_HINTS = {
    "NotImplemented": _CHECKSUM,
    "BadDigest": _CHECKSUM,
    "XAmzContentChecksumMismatch": _CHECKSUM,
    "AccessDenied": _RIGHTS,
    "AuthorizationFailure": _RIGHTS,
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "AuthenticationFailed": _CREDENTIALS,
    "ExpiredToken": "Renew the store's credentials.",
    "NoSuchBucket": _BUCKET,
    "ContainerNotFound": _BUCKET,
    "RequestTimeTooSkewed": _CLOCK,
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "InvalidStorageClass": "Correct the storage class in SAFELIGHT_STORAGE.",
}
_STATUS_HINTS = {"501": _CHECKSUM, "403": _RIGHTS, "401": _CREDENTIALS, "404": _BUCKET}
# Parts of the client's text for failures without a response, the most specific first.
_BROKEN = (
    ("redirect without LOCATION", f"The file store is in another region. {_REGION}"),
    ("dns error", "The file store's host name does not resolve. Correct the endpoint."),
    ("certificate", "The file store's TLS certificate is not trusted."),
    ("Connection refused", "The file store refused the connection. Is it running?"),
    ("Timeout", "The file store did not answer in time."),
    ("timed out", "The file store did not answer in time."),
    ("credential", f"The file store's credentials were not found. {_CREDENTIALS}"),
)


def explain(error: Exception) -> str:
    """Return a sentence that names the cause and, if known, the remedy; without addresses."""
    text = str(error)
    if status := _STATUS.search(text):
        found = _CODE.search(text)
        code = (found[1] or found[2]) if found else ""
        told = f"The file store answered {f'{status[1]} {code}'.strip()}."
        hint = _HINTS.get(code) or _STATUS_HINTS.get(status[1], "")
        return f"{told} {hint}".strip()
    for part, told in _BROKEN:
        if part in text:
            return told
    if isinstance(error, OSError) and error.strerror:
        return f"The file store's folder cannot be used: {error.strerror}."
    return "The file store could not be reached."


def told(error: Exception) -> str:
    """Return what the store said, for the log: the first line, without signatures."""
    lines = str(error).splitlines() or [type(error).__name__]
    return _QUERY.sub("?…", lines[0])[:_MOST_CHARS]
