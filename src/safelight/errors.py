"""Every way Safelight refuses or fails: a stable code, a status, and whether to try again.

    SafelightError
    ├── RequestError        the caller can mend it (4xx)
    ├── MediaError          the file itself is at fault; never retried
    ├── FetchError          a download failed
    ├── ProviderError       the one who does the work failed
    └── ServiceError        this installation cannot do it now (5xx)

A class is one code. `docs/errors.md` lists them all, and a test fails when one is missing.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, ClassVar


class Remedy(StrEnum):
    """What a job does about an error."""

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

    def problem(self) -> dict[str, Any]:
        """Return the RFC 9457 problem document, as stored on a job and sent to callers."""
        document: dict[str, Any] = {
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


class UnknownModel(RequestError):
    """No model of that name does this kind of job; `errors` lists the ones that do."""

    code = "unknown_model"
    status = 422
    title = "There is no such model"


class Unauthenticated(RequestError):
    """No API key came with the request, or it is unknown, expired or revoked."""

    code = "unauthenticated"
    status = 401
    title = "A valid API key is needed"


class Forbidden(RequestError):
    """The API key lacks the scope that this route needs."""

    code = "forbidden"
    status = 403
    title = "This API key may not do that"


class SignatureInvalid(RequestError):
    """The parameters have no signature, or one by another key or for other parameters."""

    code = "signature_invalid"
    status = 403
    title = "The address is not signed as it must be"


class NotFound(RequestError):
    """There is nothing of that id, or it belongs to another account."""

    code = "not_found"
    status = 404
    title = "Not found"


class MethodNotAllowed(RequestError):
    """The route exists, but not with this method."""

    code = "method_not_allowed"
    status = 405
    title = "That method is not allowed here"


class WrongState(RequestError):
    """The job's status does not allow this, such as canceling one that has finished."""

    code = "wrong_state"
    status = 409
    title = "The job's status does not allow that"


class EndpointDisabled(RequestError):
    """The webhook endpoint is disabled: nothing is sent there until it is enabled."""

    code = "endpoint_disabled"
    status = 409
    title = "This webhook endpoint is disabled"


class NoPublicPicture(RequestError):
    """The asset is no picture, or only its owner may see it: nothing can be made of it."""

    code = "no_public_picture"
    status = 409
    title = "This asset has no public picture"


class ShowsNothing(RequestError):
    """The asset is an input that nobody but its owner may have: it shows nothing to make public."""

    code = "shows_nothing"
    status = 409
    title = "This asset shows nothing"


class OnHold(RequestError):
    """The asset, or all that its account has, is held: nothing is deleted before the release."""

    code = "on_hold"
    status = 409
    title = "This is held"


class BackupUnfit(RequestError):
    """The backup cannot be restored here: it is damaged, of another version, or not needed."""

    code = "backup_unfit"
    status = 409
    title = "The backup cannot be restored here"


class FormatUnavailable(RequestError):
    """The asset is no 3D model of glTF: it cannot be had in another 3D format."""

    code = "format_unavailable"
    status = 409
    title = "This asset is not to be had in that format"


class IdempotencyConflict(RequestError):
    """The idempotency key was used before, with another method, route or body."""

    code = "idempotency_conflict"
    status = 409
    title = "This Idempotency-Key belongs to another request"


class TooLarge(RequestError):
    """The body or one of its files is larger than the limit."""

    code = "too_large"
    status = 413
    title = "The request is too large"


class TooManyFiles(RequestError):
    """More files came than one batch may hold."""

    code = "too_many_files"
    status = 422
    title = "Too many files"


class RangeNotSatisfiable(RequestError):
    """The requested byte range lies outside the file."""

    code = "range_not_satisfiable"
    status = 416
    title = "The range is outside the file"


# --- the file --------------------------------------------------------------------------------


class MediaError(SafelightError):
    """The file itself is at fault."""

    code = "media_unreadable"
    status = 422
    title = "The file cannot be read"


class MediaEmpty(MediaError):
    """The file has no bytes."""

    code = "media_empty"
    title = "The file is empty"


class MediaUnsupported(MediaError):
    """The bytes are not of a format that this route takes, whatever the name says."""

    code = "media_unsupported"
    status = 415
    title = "This kind of file is not supported"


class MediaTruncated(MediaError):
    """The file ends too early or its data is damaged."""

    code = "media_truncated"
    title = "The file is truncated or damaged"


class MediaTooManyPixels(MediaError):
    """Width times height times frames exceeds the pixel budget; nothing was decoded."""

    code = "media_too_many_pixels"
    title = "The picture has too many pixels"


class NoForeground(MediaError):
    """No object stands out from the background, so there is nothing to make 3D."""

    code = "no_foreground"
    title = "No object was found in the picture"


# --- the download ----------------------------------------------------------------------------


class FetchError(SafelightError):
    """The address could not be downloaded; trying again may help."""

    code = "fetch_failed"
    status = 502
    title = "The address could not be downloaded"
    remedy = Remedy.RETRY


class UrlNotAllowed(FetchError):
    """The address is malformed, or it or a redirect leads somewhere this server must not go."""

    code = "url_not_allowed"
    status = 422
    title = "This address is not allowed"
    remedy = Remedy.NEVER


class FetchRefused(FetchError):
    """The other server answered with a client error such as 404."""

    code = "fetch_refused"
    title = "The other server refused the download"
    remedy = Remedy.NEVER


class FetchTooLarge(FetchError):
    """The download exceeded the size limit and was stopped."""

    code = "fetch_too_large"
    status = 422
    title = "The download is too large"
    remedy = Remedy.NEVER


class FetchTimeout(FetchError):
    """The other server was too slow, or never came to an end."""

    code = "fetch_timeout"
    status = 504
    title = "The download took too long"


class FetchPaused(FetchError):
    """The other server asked to be left alone; `retry_after` says how much longer."""

    code = "fetch_paused"
    status = 503
    title = "The other server asked for a pause"
    remedy = Remedy.WAIT


# --- the provider ----------------------------------------------------------------------------


class ProviderError(SafelightError):
    """A passing fault at the provider."""

    code = "provider_failed"
    status = 502
    title = "The provider failed"
    remedy = Remedy.RETRY


class ProviderWorkFailed(ProviderError):
    """The provider began the work and gave it up without charge; a new start may do better."""

    code = "provider_work_failed"
    title = "The provider gave the work up"


class ProviderRateLimited(ProviderError):
    """The provider asks to wait; `retry_after` says how long."""

    code = "provider_rate_limited"
    status = 503
    title = "The provider is rate-limiting"
    remedy = Remedy.WAIT


class ProviderRefused(ProviderError):
    """The provider's moderation refused the content; `categories` says why."""

    code = "content_refused"
    status = 422
    title = "The provider refused this content"
    remedy = Remedy.NEVER


class ProviderBadInput(ProviderError):
    """The provider does not accept this input."""

    code = "provider_bad_input"
    status = 422
    title = "The provider does not accept this input"
    remedy = Remedy.NEVER


class ProviderOutOfCredit(ProviderError):
    """The installation's account at the provider has no credit left."""

    code = "provider_out_of_credit"
    title = "The provider's account is out of credit"
    remedy = Remedy.NEVER


class ProviderUnauthorized(ProviderError):
    """The provider does not accept the installation's credentials."""

    code = "provider_unauthorized"
    title = "The provider does not accept our credentials"
    remedy = Remedy.NEVER


class ProviderRejected(ProviderError):
    """The provider failed for good; the same request would fail again."""

    code = "provider_rejected"
    title = "The provider could not do the work"
    remedy = Remedy.NEVER


class UnknownOutcome(ProviderError):
    """The connection broke after the request was sent: it may have been done and paid for."""

    code = "unknown_outcome"
    title = "It is not known whether the provider did the work"
    remedy = Remedy.UNKNOWN


class JobTimeout(ProviderError):
    """The job did not finish within its time limit."""

    code = "timed_out"
    status = 504
    title = "The job took too long"
    remedy = Remedy.NEVER


class DeadlinePassed(ProviderError):
    """The job had not started when its `start_by` passed."""

    code = "deadline_passed"
    status = 504
    title = "The job did not start in time"
    remedy = Remedy.NEVER


class WorkerCrashed(ProviderError):
    """The job was running each of the three times that its worker died."""

    code = "worker_crashed"
    status = 500
    title = "The job killed its worker three times"
    remedy = Remedy.NEVER


class OutOfResources(ProviderError):
    """The work used more memory or processor time than one job may."""

    code = "out_of_resources"
    status = 500
    title = "The work exceeded its memory or time limit"
    remedy = Remedy.RETRY


# --- this installation -----------------------------------------------------------------------


class ServiceError(SafelightError):
    """This installation cannot do it now."""

    code = "unavailable"
    status = 503
    title = "Safelight cannot do that right now"
    remedy = Remedy.RETRY


class Busy(ServiceError):
    """More pictures are wanted at once than can be made; `retry_after` says when to ask again."""

    code = "busy"
    title = "Too many pictures are being made at once"


class TooManyRequests(RequestError):
    """One file is asked for more often than it may be; `retry_after` says when to ask again."""

    code = "too_many_requests"
    status = 429
    title = "This is asked for too often"
    remedy = Remedy.WAIT


class StorageFull(ServiceError):
    """The disk is full, or has less free space than is kept back."""

    code = "storage_full"
    status = 507
    title = "There is no space left to store files"


class StorageFailed(ServiceError):
    """The object store did not answer or refused a write."""

    code = "storage_failed"
    title = "The file store failed"
    remedy = Remedy.WAIT  # costs no attempt: whatever could be kept again could be made again


class ObjectsSwept(SafelightError):
    """Keeping a file took over an hour, and its bytes had been cleaned up before it was done."""

    code = "objects_swept"
    status = 503
    title = "The file took so long to be kept that it was cleaned up"
    remedy = Remedy.RETRY


class DataDirectoryInUse(ServiceError):
    """Another Safelight process already serves this data directory."""

    code = "data_directory_in_use"
    title = "Another Safelight process uses this data directory"


class SettingInvalid(ServiceError):
    """A setting cannot be followed as it stands; nothing starts with it."""

    code = "setting_invalid"
    title = "A setting has a mistake"


class CatalogueInvalid(ServiceError):
    """The catalogue of models cannot be read, or says what cannot be; nothing starts with it."""

    code = "catalogue_invalid"
    title = "The catalogue of models has a mistake"


class DoorbellSilent(ServiceError):
    """Rings do not reach other processes now; work waits until somebody looks by itself."""

    code = "doorbell_silent"
    title = "Rings do not reach other processes"


class ProvidersUnwell(ServiceError):
    """Some providers fail again and again, or asked for a pause; their jobs wait."""

    code = "providers_unwell"
    title = "Some providers are left alone for a while"


def restored(problem: Mapping[str, Any]) -> SafelightError:
    """Return the error that a stored problem document is of."""
    extra: dict[str, Any] = {**problem}
    kind = codes()[extra.pop("code")]
    wait: float | None = extra.pop("retry_after_s", None)
    for name in ("type", "title", "status"):
        del extra[name]
    retry_after = None if wait is None else timedelta(seconds=wait)
    return kind(
        extra.pop("detail"), errors=extra.pop("errors", ()), retry_after=retry_after, **extra
    )


def codes() -> dict[str, type[SafelightError]]:
    """Return every error class by its code."""
    found: dict[str, type[SafelightError]] = {}
    pending: list[type[SafelightError]] = [SafelightError]
    while pending:
        kind = pending.pop(0)
        found[kind.code] = kind
        pending.extend(kind.__subclasses__())
    return found
