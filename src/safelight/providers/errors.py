"""Provider errors, and what each means for a job."""

from safelight.errors import Remedy, RequestError, SafelightError, SettingInvalid
from safelight.media.errors import MediaError


class UnknownModel(RequestError):
    """No model of that name does this kind of job; `errors` lists the ones that do."""

    code = "unknown_model"
    status = 422
    title = "Unknown model"


class ProviderError(SafelightError):
    """A temporary failure at the provider."""

    code = "provider_failed"
    status = 502
    title = "The provider failed"
    remedy = Remedy.RETRY


class ProviderWorkFailed(ProviderError):
    """The provider started the work and failed without charge; a new start may succeed."""

    code = "provider_work_failed"
    title = "The provider failed without charge"


class ProviderRateLimited(ProviderError):
    """The provider rate-limits us; `retry_after` says for how long."""

    code = "provider_rate_limited"
    status = 503
    title = "The provider is rate-limiting"
    remedy = Remedy.WAIT


class ProviderRefused(ProviderError):
    """The provider's moderation refused the content; `categories` names the reasons."""

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
    """The provider failed permanently; the same request would fail again."""

    code = "provider_rejected"
    title = "The provider could not do the work"
    remedy = Remedy.NEVER


class UnknownOutcome(ProviderError):
    """The connection broke after the request was sent, so it may have run and been charged."""

    code = "unknown_outcome"
    title = "The outcome at the provider is unknown"
    remedy = Remedy.UNKNOWN


class CatalogueInvalid(SettingInvalid):
    """The model catalogue is unreadable or invalid; the server does not start with it."""

    code = "catalogue_invalid"
    title = "The model catalogue is invalid"


class NoForeground(MediaError):
    """No object stands out from the background, so there is nothing to turn into 3D."""

    code = "no_foreground"
    title = "No object was found in the picture"
