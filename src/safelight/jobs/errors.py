"""Errors of jobs and their queue, as opposed to providers."""

from safelight.errors import Remedy, RequestError, SafelightError, ServiceError


class JobError(SafelightError):
    """A job failed for a reason other than its provider."""

    code = "job_failed"
    title = "The job failed"


class JobTimeout(JobError):
    """The job did not finish within its time limit."""

    code = "timed_out"
    status = 504
    title = "The job took too long"
    remedy = Remedy.NEVER


class DeadlinePassed(JobError):
    """The job had not started when its `start_by` passed."""

    code = "deadline_passed"
    status = 504
    title = "The job did not start in time"
    remedy = Remedy.NEVER


class WorkerCrashed(JobError):
    """The worker died three times while running this job."""

    code = "worker_crashed"
    status = 500
    title = "The job killed its worker three times"
    remedy = Remedy.NEVER


class IdempotencyConflict(RequestError):
    """The idempotency key was used before, with another method, route or body."""

    code = "idempotency_conflict"
    status = 409
    title = "This Idempotency-Key belongs to another request"


class NoWorker(ServiceError):
    """Work waits in a lane that no living worker serves; start one for it."""

    code = "no_worker"
    title = "No worker serves a lane with work"


class ProvidersUnwell(ServiceError):
    """Some providers fail repeatedly or asked for a pause; their jobs wait."""

    code = "providers_unwell"
    title = "Some providers are paused for a while"
