"""How a job ends that no provider has failed, and what its queue refuses."""

from safelight.errors import Remedy, RequestError, SafelightError, ServiceError


class JobError(SafelightError):
    """A job ended without its provider having failed."""

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
    """The job was running each of the three times that its worker died."""

    code = "worker_crashed"
    status = 500
    title = "The job killed its worker three times"
    remedy = Remedy.NEVER


class IdempotencyConflict(RequestError):
    """The idempotency key was used before, with another method, route or body."""

    code = "idempotency_conflict"
    status = 409
    title = "This Idempotency-Key belongs to another request"


class ProvidersUnwell(ServiceError):
    """Some providers fail again and again, or asked for a pause; their jobs wait."""

    code = "providers_unwell"
    title = "Some providers are left alone for a while"
