"""The interface of every media provider: start work, poll it, cancel it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from safelight.errors import Forbidden
from safelight.json_object import JsonObject
from safelight.providers.errors import ProviderError
from safelight.providers.price import NOT_TOLD, Price, Usage


class Kind(StrEnum):
    """The kind of work that a job asks for."""

    TEXT_TO_IMAGE = "text_to_image"
    IMAGE_TO_IMAGE = "image_to_image"
    IMPORT_IMAGE = "import_image"
    IMAGE_TO_3D = "image_to_3d"


class Lane(StrEnum):
    """The pool of worker slots that runs the work."""

    LOCAL = "local"  # this machine's CPU, one slot per core
    GPU = "gpu"
    REMOTE = "remote"  # waits for a vendor
    INGEST = "ingest"  # downloads


class Role(StrEnum):
    """How a provider uses an input picture."""

    REFERENCE = "reference"
    MASK = "mask"  # its transparent pixels may change
    FRONT = "front"
    LEFT = "left"
    BACK = "back"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Model:
    """One model of a provider, as `GET /v1/models` shows it.

    `params_schema` is the JSON Schema (draft 2020-12) of an object. A job's params are validated
    against it and completed with its `default`s before the job is accepted. `repeatable` work costs
    nothing to redo, so a lost attempt is started again. `roles` are the roles its inputs may have;
    `max_inputs` does not count a mask. A `price` of None is unknown. `accounts`, if not empty, are
    the only ones that may use it.
    """

    id: str
    provider: str
    title: str
    description: str
    kinds: frozenset[Kind]
    lane: Lane
    params_schema: Mapping[str, Any]
    timeout: timedelta
    repeatable: bool = False
    max_inputs: int = 0
    roles: frozenset[Role] = frozenset({Role.REFERENCE})
    price: Price | None = None
    accounts: frozenset[str] = frozenset()
    vendor_id: str = ""  # the vendor's own name for it, if different

    @property
    def usual_micros(self) -> int | None:
        """Price of a job with default params, or None if it cannot be known in advance."""
        rules: Mapping[str, Mapping[str, Any]] = self.params_schema.get("properties", {})
        usual = {name: rule["default"] for name, rule in rules.items() if "default" in rule}
        return self.price.micros(usual) if self.price else None

    def is_open_to(self, account_id: str) -> bool:
        return not self.accounts or account_id in self.accounts


@dataclass(frozen=True, slots=True)
class InputFile:
    """An input picture of a job, already inspected and on local disk."""

    path: Path
    media_type: str
    name: str = ""
    role: Role = Role.REFERENCE


@dataclass(frozen=True, slots=True)
class ProviderRequest:
    """Everything a provider needs to know about a job."""

    kind: Kind
    model: str
    prompt: str
    params: Mapping[str, Any]
    inputs: tuple[InputFile, ...]
    folder: Path
    source_url: str = ""

    @property
    def scratch(self) -> Path:
        """The empty scratch folder of this attempt, created on first use."""
        self.folder.mkdir(exist_ok=True)
        return self.folder


@dataclass(frozen=True, slots=True)
class MediaFile:
    """One output file, in the request's scratch folder.

    `facts` holds what only the provider knows (seed, triangle count); the rest is read from the
    bytes when the file is taken in. `preview` is a picture of an output that is not a picture
    itself. `source_url` and `name` are the file's origin and original name, if known.
    """

    path: Path
    media_type: str
    facts: Mapping[str, Any] = field(default_factory=JsonObject)
    preview: Path | None = None
    name: str = ""
    source_url: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The work succeeded.

    `cost_micros` is the cost that the provider reported, 0 if free. Without it, the cost is
    computed from the model's price and `usage`.
    """

    outputs: tuple[MediaFile, ...]
    cost_micros: int | None = None
    facts: Mapping[str, Any] = field(default_factory=JsonObject)
    usage: Usage = NOT_TOLD


@dataclass(frozen=True, slots=True)
class Failed:
    """The provider reported that the work failed.

    Only this value ends the work. An exception from `check` means that the poll failed.
    `cost_micros` and `usage` are as in `Done`; a failure that is not charged costs 0.
    """

    error: ProviderError
    cost_micros: int | None = None
    usage: Usage = NOT_TOLD


@dataclass(frozen=True, slots=True)
class Pending:
    """The provider is working: poll with `ticket` after `check_after`, or sooner on a callback.

    A start without a pause has ended the work: once the ticket is stored, `check` follows in the
    same run, with `news` as the attempt's.
    """

    ticket: str
    check_after: timedelta
    stage: str = "waiting for the provider"
    progress: float | None = None
    news: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Canceled:
    """The provider's answer to a cancel request.

    `confirmed` means that no work is running: it was stopped, had already ended, or never existed.
    Otherwise the request was only accepted, and `cancel` is called again later. `cost_micros` and
    `usage` are the cost of the work, if the provider reports it.
    """

    confirmed: bool = True
    cost_micros: int | None = None
    usage: Usage = NOT_TOLD


@dataclass(frozen=True, slots=True)
class LostStart:
    """A `start` whose response was lost. The request no longer carries input files."""

    attempt_id: str
    sent_at: datetime  # by the database's clock
    request: ProviderRequest


class Absent(Enum):
    """The provider's confirmation that it never received the work."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class Callback:
    """A request to a provider's callback URL. `headers` are in lower case.

    `attempt_id` is the attempt that the URL belongs to, or None if all of a provider's attempts
    share one URL.
    """

    headers: Mapping[str, str]
    body: bytes
    attempt_id: str | None = None


@dataclass(frozen=True, slots=True)
class News:
    """The content of a callback: its attempt or ticket, and whether its sender is authenticated.

    A proven callback is stored and handed to `check`, which then need not poll. Any other only
    triggers a poll. Both ids are None if the callback is about no job, such as a subscription
    confirmation.
    """

    attempt_id: str | None = None
    ticket: str | None = None
    is_proven: bool = False


class AttemptHandle(Protocol):
    """The attempt as a provider sees it: its id, and progress reports."""

    @property
    def id(self) -> str: ...

    @property
    def callback_url(self) -> str | None:
        """The URL for callbacks about this attempt; None if this server is not reachable."""
        ...

    @property
    def news(self) -> bytes | None:
        """On a `check`, the body of the attempt's last proven callback, or of its start's end."""
        ...

    def report(self, progress: float, stage: str, picture: Path | None = None) -> None:
        """Report progress: 0 to 100 percent and a short stage name. Cheap; may be dropped.

        `picture` is a preview of the work so far, in a file of its own that is kept until the end.
        """
        ...


class NoCallbacks:
    """Defaults for providers without callbacks or lookup."""

    adopts_within = timedelta()
    shares_callback_address = False

    async def verify(self) -> str:
        return ""

    async def parse_callback(self, callback: Callback) -> News:
        raise Forbidden("This provider takes no callbacks.")

    async def look_up(self, lost: LostStart) -> str | Absent | None:
        return None


class Provider(Protocol):
    """A source of media. It neither retries nor sleeps: it raises typed errors, and jobs decide.

    Canceling a `start` or `check` stops local work and leaves nothing behind.
    """

    name: str
    adopts_within: timedelta
    """How long a start whose response was lost may still be found, by callback or `look_up`. Zero
    if it cannot be found."""
    shares_callback_address: bool
    """Whether the operator configures one callback URL at the vendor, instead of one per call."""

    def capabilities(self) -> tuple[Model, ...]: ...

    async def start(
        self, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Failed | Pending:
        """Submit the work.

        Raises `UnknownOutcome` if the request may have arrived and its response was lost. Any other
        `ProviderError`, or a `MediaError`, guarantees that nothing was started; every other
        exception counts as a lost response. Once a paid request has been answered, nothing is
        raised: a result that still has to be downloaded is `Pending`.
        """
        ...

    async def check(
        self, ticket: str, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Failed | Pending:
        """Poll the work.

        An exception means that the poll failed, and says nothing about the work.
        """
        ...

    async def cancel(self, ticket: str) -> Canceled | None:
        """Ask the provider to stop; None is a plain confirmation.

        Called again until confirmed. Raises if the provider could not be reached or refused.
        """
        ...

    async def verify(self) -> str:
        """Check the credentials at no cost and return a short summary.

        Empty if there is nothing to check, or no free way to do so.
        """
        ...

    async def parse_callback(self, callback: Callback) -> News:
        """Verify a callback; raise `Forbidden` if it is forged, stale or not for this provider."""
        ...

    async def look_up(self, lost: LostStart) -> str | Absent | None:
        """Return the ticket of a start whose response was lost.

        `ABSENT` is the provider's confirmation that the request never arrived, returned only if its
        protocol guarantees it; None is inconclusive.
        """
        ...
