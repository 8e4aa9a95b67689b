"""The socket that everything which makes media plugs into: start work, look at it, cancel it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from safelight.errors import Forbidden
from safelight.providers.errors import ProviderError
from safelight.providers.price import NOT_TOLD, Price, Usage


class Kind(StrEnum):
    """What a job turns into what."""

    TEXT_TO_IMAGE = "text_to_image"
    IMAGE_TO_IMAGE = "image_to_image"
    IMPORT_IMAGE = "import_image"
    IMAGE_TO_3D = "image_to_3d"


class Lane(StrEnum):
    """Which pool of worker slots does the work."""

    LOCAL = "local"  # this machine's processor, one slot a core
    GPU = "gpu"
    REMOTE = "remote"  # waits for somebody else's machine
    INGEST = "ingest"  # downloads


class Role(StrEnum):
    """What an input picture is to its provider."""

    REFERENCE = "reference"
    MASK = "mask"  # what is transparent in it may change
    FRONT = "front"
    LEFT = "left"
    BACK = "back"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Model:
    """One thing a provider can do, as `GET /v1/models` shows it.

    `params_schema` is a JSON Schema (draft 2020-12) of an object; a job's params are validated
    against it, and its `default`s filled in, before the job is accepted.
    `repeatable` says that doing the work twice costs nothing, so a lost attempt is simply redone.
    `roles` are those that its inputs may have; `max_inputs` counts all but a mask. A `price` of
    None is unknown. Only `accounts` may use it, where any are named.
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
    vendor_id: str = ""  # what its provider calls it, where that is another name

    @property
    def usual_micros(self) -> int | None:
        """What a job costs that says nothing of its own, None where that is not known before."""
        rules: Mapping[str, Mapping[str, Any]] = self.params_schema.get("properties", {})
        usual = {name: rule["default"] for name, rule in rules.items() if "default" in rule}
        return self.price.micros(usual) if self.price else None

    def is_open_to(self, account_id: str) -> bool:
        return not self.accounts or account_id in self.accounts


@dataclass(frozen=True, slots=True)
class InputFile:
    """A picture that the job works from, already inspected and on local disk."""

    path: Path
    media_type: str
    name: str = ""
    role: Role = Role.REFERENCE


@dataclass(frozen=True, slots=True)
class ProviderRequest:
    """All that a provider needs to know of a job."""

    kind: Kind
    model: str
    prompt: str
    params: Mapping[str, Any]
    inputs: tuple[InputFile, ...]
    folder: Path
    source_url: str = ""

    @property
    def scratch(self) -> Path:
        """The empty folder of this attempt, made when it is first asked for: many need none."""
        self.folder.mkdir(exist_ok=True)
        return self.folder


@dataclass(frozen=True, slots=True)
class MediaFile:
    """One file a provider made, in the request's scratch folder.

    `facts` holds what only the maker knows (seed, triangles …); what can be read from the bytes is
    found out on arrival. `preview` is a picture of it, for media that are no pictures themselves.
    `source_url` and `name` are where it came from and what it is called, where that is known.
    """

    path: Path
    media_type: str
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    preview: Path | None = None
    name: str = ""
    source_url: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The work is finished.

    `cost_micros` is what the provider itself says that it cost, 0 when free. Where it says nothing,
    the model's price is taken, by what was used.
    """

    outputs: tuple[MediaFile, ...]
    cost_micros: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    usage: Usage = NOT_TOLD


@dataclass(frozen=True, slots=True)
class Failed:
    """The provider's verdict that this very work failed.

    Only a value ends work, never an exception: an exception of `check` says that the look failed.
    `cost_micros` and `usage` are as in `Done`; a failure that is not charged costs 0.
    """

    error: ProviderError
    cost_micros: int | None = None
    usage: Usage = NOT_TOLD


@dataclass(frozen=True, slots=True)
class Pending:
    """The provider works on it: ask with `ticket` after `check_after`, or sooner on a callback."""

    ticket: str
    check_after: timedelta
    stage: str = "waiting for the provider"
    progress: float | None = None


@dataclass(frozen=True, slots=True)
class Canceled:
    """The provider's answer to a cancel request.

    `confirmed` says that nothing of the work goes on: it was stopped, had ended before, or never
    existed there. Otherwise the request was only accepted, and `cancel` is called again later.
    `cost_micros` and `usage` tell what the work cost, where the provider says so.
    """

    confirmed: bool = True
    cost_micros: int | None = None
    usage: Usage = NOT_TOLD


@dataclass(frozen=True, slots=True)
class LostStart:
    """A `start` whose answer was lost. The request carries no input files any more."""

    attempt_id: str
    sent_at: datetime  # by the database's clock
    request: ProviderRequest


class Absent(Enum):
    """A provider's confirmation that it never received the work."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class Callback:
    """What came in at a provider's callback address. `headers` are in lower case.

    `attempt_id` is the attempt whose address it was; None where all of a provider's share one.
    """

    headers: Mapping[str, str]
    body: bytes
    attempt_id: str | None = None


@dataclass(frozen=True, slots=True)
class News:
    """What a callback says: of which attempt or ticket, and whether its sender is proven.

    Proven news is kept and handed to `check`, which need not ask then. Other news only leads to a
    look. Both ids may be None where the callback is about no job at all, such as a confirmation.
    """

    attempt_id: str | None = None
    ticket: str | None = None
    is_proven: bool = False


class AttemptHandle(Protocol):
    """What a provider may know and say of the attempt that it serves."""

    @property
    def id(self) -> str: ...

    @property
    def callback_url(self) -> str | None:
        """Where the provider may report this attempt; None where it cannot reach this server."""
        ...

    @property
    def news(self) -> bytes | None:
        """The body of the last proven callback for this attempt, on a `check`."""
        ...

    def report(self, progress: float, stage: str, picture: Path | None = None) -> None:
        """Say how far the work is: percent, 0 to 100, and a few words. Cheap; may be dropped.

        `picture` is what there is of it so far, in a file of its own that stays until the end.
        """
        ...


class NoCallbacks:
    """What a provider inherits that reports nowhere, and has nobody to ask but about a ticket."""

    adopts_within = timedelta()
    shares_callback_address = False

    async def verify(self) -> str:
        return ""

    async def parse_callback(self, callback: Callback) -> News:
        raise Forbidden("This provider takes no callbacks.")

    async def look_up(self, lost: LostStart) -> str | Absent | None:
        return None


class Provider(Protocol):
    """One maker of media. No retries and no sleeps inside: errors are typed, jobs decide.

    A canceled `start` or `check` stops local work and leaves nothing behind.
    """

    name: str
    adopts_within: timedelta
    """How long a start whose answer was lost is looked for: by callbacks and by `look_up`. Zero
    where nobody can tell."""
    shares_callback_address: bool
    """Whether it is told once where to report, by its operator, and not with each call."""

    def capabilities(self) -> tuple[Model, ...]: ...

    async def start(
        self, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Failed | Pending:
        """Begin the work.

        Raises `UnknownOutcome` where the order may have arrived and its answer was lost. Any other
        `ProviderError`, or a `MediaError`, is the certainty that nothing was begun; all else is
        taken for a lost answer. Once a paid order was answered, nothing is raised: a result that
        must be fetched from an address is `Pending`.
        """
        ...

    async def check(
        self, ticket: str, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Failed | Pending:
        """Look at the work.

        Whatever is raised says that the look failed, and nothing about the work.
        """
        ...

    async def cancel(self, ticket: str) -> Canceled | None:
        """Ask the provider to stop; None is a plain confirmation.

        Called again until it is confirmed. Raises where the provider could not be asked or refused.
        """
        ...

    async def verify(self) -> str:
        """Ask at no cost whether we are let in; return what was learned, in a few words.

        Empty where there is nobody to ask, or nothing that costs nothing.
        """
        ...

    async def parse_callback(self, callback: Callback) -> News:
        """Verify what came in; raise `Forbidden` for what is forged, stale or none of its own."""
        ...

    async def look_up(self, lost: LostStart) -> str | Absent | None:
        """Return the ticket of a start whose answer was lost.

        `ABSENT` is the provider's confirmation that the order never arrived, which it gives only
        where its protocol says so; None is neither.
        """
        ...
