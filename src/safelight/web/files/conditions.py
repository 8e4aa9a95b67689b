"""Conditional requests: whether the caller has a document already (RFC 9110, 13.1.2)."""

from fastapi import Request


def has_it(request: Request, etag: str) -> bool:
    """Return whether `If-None-Match` names `etag`."""
    header = request.headers.get("if-none-match")
    return header is not None and names(header, etag)


def names(condition: str, etag: str) -> bool:
    """Return whether the value of an `If-None-Match` names `etag`, weak or strong, or any."""
    candidates = {candidate.strip().removeprefix("W/") for candidate in condition.split(",")}
    return "*" in candidates or etag.removeprefix("W/") in candidates
