"""Every way Safelight refuses or fails: a stable code, a status, and whether to try again.

    SafelightError
    ├── RequestError        the caller can mend it (4xx)
    ├── MediaError          the file itself is at fault; never retried     media/errors.py
    ├── FetchError          a download failed                              fetch/errors.py
    ├── ProviderError       the provider failed                            providers/errors.py
    ├── JobError            the job ended without a failure of its provider  jobs/errors.py
    └── ServiceError        this installation cannot do it now (5xx)

This is the base; each package keeps its own errors beside its code. A class is one code.
`docs/errors.md` lists them all, and a test fails when one is missing.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, ClassVar

from safelight.json_object import JsonObject


class Remedy(StrEnum):
    """The effect of an error on its job."""

    RETRY = "retry"  # costs an attempt, after a backoff
    WAIT = "wait"  # not now; costs no attempt
    NEVER = "never"  # the same request fails the same way
    UNKNOWN = "unknown"  # it may have been done and paid for; never repeated blindly


class SafelightError(Exception):
    """The root: `code` is stable, `status` is HTTP's, `detail` is fit for the public."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong inside Safelight"
    remedy: ClassVar[Remedy] = Remedy.NEVER

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        retry_after: timedelta | None = None,
        **extra: Any,
    ) -> None:
        self.detail = detail or self.title
        self.errors = list(errors)
        self.retry_after = retry_after
        self.extra = extra
        super().__init__(self.detail)

    def problem(self) -> JsonObject:
        """Return the RFC 9457 problem document, as stored on a job and sent to callers."""
        document: JsonObject = {
            "type": f"/problems/{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = self.errors
        if self.retry_after is not None:
            document["retry_after_s"] = round(self.retry_after.total_seconds(), 3)
        return document | self.extra


# --- the request -----------------------------------------------------------------------------


class RequestError(SafelightError):
    """The caller can mend the request."""

    code = "bad_request"
    status = 400
    title = "The request could not be read"


class InvalidRequest(RequestError):
    """A field is missing, unknown or out of range; `errors` names each."""

    code = "invalid_request"
    status = 422
    title = "The request has invalid fields"


class Forbidden(RequestError):
    """The API key lacks the scope that this route needs."""

    code = "forbidden"
    status = 403
    title = "This API key may not do that"


class NotFound(RequestError):
    """There is nothing of that id, or it belongs to another account."""

    code = "not_found"
    status = 404
    title = "Not found"


class WrongState(RequestError):
    """The job's status does not allow this, such as canceling one that has finished."""

    code = "wrong_state"
    status = 409
    title = "The job's status does not allow that"


# --- this installation -----------------------------------------------------------------------


class ServiceError(SafelightError):
    """This installation cannot do it now."""

    code = "unavailable"
    status = 503
    title = "Safelight cannot do that right now"
    remedy = Remedy.RETRY


class StorageFull(ServiceError):
    """The disk is full, or has less free space than is kept back."""

    code = "storage_full"
    status = 507
    title = "There is no space left to store files"


class SettingInvalid(ServiceError):
    """A setting cannot be followed as it stands; nothing starts with it."""

    code = "setting_invalid"
    title = "A setting has a mistake"


def restored(problem: Mapping[str, Any]) -> SafelightError:
    """Return the error of a stored problem document; its package must have been imported."""
    extra: JsonObject = {**problem}
    kind = codes()[extra.pop("code")]
    wait: float | None = extra.pop("retry_after_s", None)
    for name in ("type", "title", "status"):
        del extra[name]
    retry_after = None if wait is None else timedelta(seconds=wait)
    return kind(
        extra.pop("detail"), errors=extra.pop("errors", ()), retry_after=retry_after, **extra
    )


def codes() -> dict[str, type[SafelightError]]:
    """Return every error class by its code, of all packages imported so far."""
    found: dict[str, type[SafelightError]] = {}
    pending: list[type[SafelightError]] = [SafelightError]
    while pending:
        kind = pending.pop(0)
        found[kind.code] = kind
        pending.extend(kind.__subclasses__())
    return found
