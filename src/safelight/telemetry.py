"""Structured logs with the ids of request, job and account, and the process's metrics."""

import logging
import re
import sys

import structlog
from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Histogram(
    "safelight_http_request_seconds", "Time to respond to a request.", ("method", "route", "status")
)
MOVES = Counter("safelight_job_moves_total", "Moves of jobs between statuses.", ("move", "kind"))
QUEUE_DEPTH = Gauge("safelight_queue_depth", "Jobs due and waiting for a slot.", ("lane",))
OLDEST_WAIT = Gauge("safelight_queue_oldest_wait_seconds", "Longest wait of a due job.", ("lane",))
RUNNING = Gauge("safelight_jobs_running", "Jobs running in this process.", ("lane",))
ATTEMPT_SECONDS = Histogram(
    "safelight_attempt_seconds",
    "Time from claim to settlement of one attempt.",
    ("provider", "outcome"),
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600, 1800),
)
STORED_BYTES = Counter("safelight_stored_bytes_total", "Bytes put into storage.")

VARIANTS = Counter(
    "safelight_variants_total", "Requests for picture variants: hit or miss.", ("outcome",)
)
VARIANT_SECONDS = Histogram(
    "safelight_variant_seconds",
    "Time to derive a variant, including queueing.",
    ("format",),
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


_SECRETS = re.compile(
    r"\b((?:sk|ses|lnk|tok|whsec)_)[\w+/=-]{8,}"  # our own
    r"|(\beyJ)[\w-]{8,}\.[\w-]+\.[\w-]*"  # a token of an issuer
    r"|(sealed:1:)[\w:+/=]+"
    r"|(/callbacks/+[^/\s]+/+)[^\s\"']+"  # the URL is the credential
    r"|([?&](?:token|code|sig|signature|x-amz-signature|key)=)[^\s&\"'\\]+"
    r"|((?-i:\b(?:Bearer|Basic|Key) ))[\w:+/=.-]{16,}"
    r"|(://[^\s/:@\"']*:)[^\s/@\"']+(?=@)",  # the password of a URL
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """Return `text` with every secret cut that can be told by its form."""
    return _SECRETS.sub(lambda found: f"{''.join(filter(None, found.groups()))}…", text)


class _Lines(structlog.stdlib.ProcessorFormatter):
    """Cuts secrets from whole lines, wherever in an event or a traceback they are."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


def _console(*, colors: bool) -> structlog.dev.ConsoleRenderer:
    # Its default tracebacks show local variables, including keys and tokens.
    return structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback
    )


def _only_warnings(
    _logger: object, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    if method in ("debug", "info"):
        raise structlog.DropEvent
    return event


# For commands and child processes that configure nothing: warnings, to stderr.
structlog.configure(
    processors=[
        _only_warnings,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _console(colors=False),
        lambda _logger, _method, text: without_secrets(str(text)),
    ],
    logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
    cache_logger_on_first_use=False,
)


def configure_logs(level: str, style: str) -> None:
    """Send all logs, Safelight's and the libraries', through one structured chain to stderr."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if style == "json"
        else _console(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    tail: list[structlog.typing.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta
    ]
    if style == "json":
        tail.append(structlog.processors.format_exc_info)
    handler.setFormatter(_Lines(foreign_pre_chain=shared, processors=[*tail, last]))
    root = logging.getLogger()
    root.handlers = [handler]
    # Below warnings, some libraries log headers and signatures.
    chosen = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(chosen, logging.WARNING))
    logging.getLogger("safelight").setLevel(chosen)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module."""
    return structlog.stdlib.get_logger(name)
