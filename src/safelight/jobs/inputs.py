"""What may be asked for: the shape of each submit, and params held against a model's schema.

Pure.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Self, TypeVar

import jsonschema_rs
import orjson
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from safelight.accounts.account import Visibility
from safelight.errors import InvalidRequest
from safelight.providers.provider import Model, Role

MAX_PROMPT = 10_000
MAX_URL = 4_096
MAX_METADATA_BYTES = 16_384
SEED_BITS = 32

_FIRST_YEAR, _LAST_YEAR = 1970, 2999
_ROLES = {
    Role.REFERENCE: "picture of no side in particular",
    Role.MASK: "mask",
    Role.FRONT: "view from the front",
    Role.LEFT: "view from the left",
    Role.BACK: "view from the back",
    Role.RIGHT: "view from the right",
}
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def _storable(text: str) -> str:
    """Refuse what no database or UTF-8 file can hold: NUL and lone surrogates."""
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("must not contain NUL or unpaired surrogates")
    return text


def _storable_tree(value: dict[str, Any]) -> dict[str, Any]:
    try:
        encoded = orjson.dumps(value)
    except (orjson.JSONEncodeError, TypeError) as error:
        raise ValueError("must be plain JSON with 64-bit integers") from error
    if len(encoded) > MAX_METADATA_BYTES:
        raise ValueError(f"must not exceed {MAX_METADATA_BYTES} bytes as JSON")
    if _ESCAPED_NUL.search(encoded):
        raise ValueError("must not contain NUL")
    return orjson.loads(encoded)  # what is not JSON, such as NaN, has become null


def _sensible(time: datetime) -> datetime:
    """Refuse times that no calendar can tell in every time zone."""
    if not _FIRST_YEAR <= time.year <= _LAST_YEAR:
        raise ValueError(f"must lie between {_FIRST_YEAR} and {_LAST_YEAR}")
    return time


Text = Annotated[str, AfterValidator(_storable)]
Name = Annotated[str, StringConstraints(max_length=255), AfterValidator(_storable)]
Tag = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=64),
    AfterValidator(_storable),
]
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]  # what every database and JSON reader takes
Time = Annotated[AwareDatetime, AfterValidator(_sensible)]
Tree = Annotated[dict[str, Any], AfterValidator(_storable_tree)]
Caption = Annotated[str, StringConstraints(max_length=4_000), AfterValidator(_storable)]
Tags = Annotated[list[Tag], Field(max_length=32)]
Url = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_URL),
    AfterValidator(_storable),
]


Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class JobInput:
    """A picture that a job works from: an asset's id or an address, and what it is to the model."""

    source: str
    role: Role = Role.REFERENCE

    @classmethod
    def read(cls, entry: Any) -> Self:
        """Return what an entry of a job's row says; a plain text is a reference."""
        if isinstance(entry, str):
            return cls(entry)
        return cls(entry["source"], Role(entry["role"]))

    def entry(self) -> str | dict[str, str]:
        if self.role is Role.REFERENCE:
            return self.source
        return self.document()

    def document(self) -> dict[str, str]:
        return {"source": self.source, "role": self.role.value}


class Submission(BaseModel):
    """What every submit may say."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    external_id: Name = Field(default="", description="Your own id for it, to find it by.")
    tags: Tags = []
    metadata: Tree = {}
    priority: int = Field(
        default=0, ge=-100, le=100, description="Higher goes first among your own jobs."
    )
    keep_s: Annotated[int, Field(ge=60, le=10 * 366 * 86_400)] | None = Field(
        default=None, description="Seconds after which what is made goes by itself; else it stays."
    )
    visibility: Visibility | None = Field(
        default=None,
        description="Who sees what is made: anybody with its address, or for a while by a signed "
        "one; else it is as the account says.",
    )
    webhook_url: Url | None = Field(
        default=None, description="Told once it has ended: the job, or the batch as a whole."
    )
    notify: Annotated[list[Name], Field(max_length=10)] | None = Field(
        default=None,
        description="Contacts, by id or as `email`, `sms` or `sns`, that are told once it has "
        "ended; none in an empty list, and by default as the contacts themselves say.",
    )
    start_at: Time | None = Field(default=None, description="Do not start before.")
    start_by: Time | None = Field(default=None, description="Give up if not started by then.")

    @model_validator(mode="after")
    def _times_make_sense(self) -> Self:
        if self.start_at and self.start_by and self.start_by <= self.start_at:
            raise ValueError("start_by must be later than start_at")
        return self


class Generate(Submission):
    """Body of `POST /v1/generate`."""

    prompt: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT),
        AfterValidator(_storable),
    ] = Field(description="What to show.", examples=["A red cat playing guitar"])
    model: Name | None = Field(default=None, description="See `GET /v1/models`.")
    references: Annotated[list[Url], Field(max_length=16)] = Field(
        default=[], description="Asset ids or addresses of pictures to start from."
    )
    mask: Url | None = Field(
        default=None,
        description="A picture as large as the first reference: where it is transparent, that may "
        "change.",
    )
    n: Whole | None = Field(default=None, description="How many pictures.")
    size: Text | None = Field(default=None, examples=["1024x1024"])
    aspect_ratio: Text | None = Field(default=None, examples=["16:9"])
    seed: Whole | None = Field(default=None, description="Same prompt and seed, same picture.")
    format: Text | None = Field(default=None, examples=["png"])
    negative_prompt: Text | None = None
    params: Tree = Field(default={}, description="Anything else that the model takes.")

    @model_validator(mode="after")
    def _mask_has_a_picture(self) -> Self:
        if self.mask and not self.references:
            raise ValueError("a mask needs a picture in references that it belongs to")
        return self

    @property
    def inputs(self) -> list[JobInput]:
        """What the job works from, the mask last."""
        masks = [JobInput(self.mask, Role.MASK)] if self.mask else []
        return [*map(JobInput, self.references), *masks]

    def all_params(self) -> dict[str, Any]:
        """Return the named params and `params` as one."""
        named = ("n", "size", "aspect_ratio", "seed", "format", "negative_prompt")
        given = {name: getattr(self, name) for name in named if getattr(self, name) is not None}
        return {**self.params, **given}


class ImportItem(BaseModel):
    """One picture of an import of several."""

    model_config = ConfigDict(extra="forbid")

    url: Url
    name: Name = ""
    external_id: Name = ""
    tags: Tags = []
    metadata: Tree = {}


class ImportImages(Submission):
    """Body of `POST /v1/images`.

    What is said of a batch holds for each of its pictures, which may say more.
    """

    url: Url | None = Field(default=None, examples=["https://example.com/photo.jpg"])
    urls: list[Any] | None = Field(
        default=None,
        description="Several at once make a batch: addresses, or objects with more about each. "
        "One that cannot be taken becomes a problem of its own; the others go on.",
        json_schema_extra={
            "items": {"anyOf": [{"type": "string"}, ImportItem.model_json_schema()]},
        },
        examples=[["https://example.com/a.jpg", {"url": "https://example.com/b.jpg"}]],
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.url is None) == (self.urls is None):
            raise ValueError("give either url or urls")
        if self.urls == []:
            raise ValueError("urls must not be empty")
        if self.urls is not None and self.external_id:
            raise ValueError("external_id names one picture: give each of urls its own")
        return self

    def items(self) -> list[ImportItem | InvalidRequest]:
        """Return each of `urls` with what is said of all, or what is wrong with it."""
        return [self._item(entry) for entry in self.urls or []]

    def _item(self, entry: object) -> ImportItem | InvalidRequest:
        try:
            item = ImportItem.model_validate({"url": entry} if isinstance(entry, str) else entry)
        except ValidationError as error:
            return InvalidRequest(errors=field_errors(error))
        tags = list(dict.fromkeys([*self.tags, *item.tags]))
        return item.model_copy(update={"tags": tags, "metadata": self.metadata | item.metadata})


class AssetChange(BaseModel):
    """Body of `PATCH /v1/assets/{id}`."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    caption: Caption = ""
    external_id: Name = ""
    tags: Tags = []
    metadata: Tree = {}
    visibility: Visibility = Visibility.PUBLIC
    expires_at: Time | None = Field(
        default=None, description="When it goes by itself; null keeps it."
    )


class Hold(BaseModel):
    """Body of `PUT /v1/assets/{id}/hold`."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[Name, Field(min_length=1, description="Why it has to stay.")]


class UploadFields(AssetChange):
    """The form fields of `POST /v1/uploads`, beside its file."""


class UploadBatch(Submission):
    """The form fields of `POST /v1/upload/batch`, beside its files."""

    model: Name | None = None
    params: Tree = {}


class BatchItem(BaseModel):
    """One thing to make a 3D model of: a picture of it, or several, each from another side."""

    model_config = ConfigDict(extra="forbid")

    image: Url | None = Field(default=None, description="An asset id or an address.")
    front: Url | None = None
    left: Url | None = None
    back: Url | None = None
    right: Url | None = None
    name: Name = ""
    params: Tree = Field(default={}, description="Instead of those of the batch.")

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        views = [self.front, self.left, self.back, self.right]
        if (self.image is None) == (self.front is None):
            raise ValueError("give either image or front")
        if self.image is not None and any(views):
            raise ValueError("left, back and right go with front")
        return self

    @property
    def inputs(self) -> list[JobInput]:
        """What the job works from."""
        if self.image is not None:
            return [JobInput(self.image)]
        sides = (Role.FRONT, self.front), (Role.LEFT, self.left), (Role.BACK, self.back)
        named = (*sides, (Role.RIGHT, self.right))
        return [JobInput(source, role) for role, source in named if source is not None]


def _as_item(given: object) -> object:
    return {"image": given} if isinstance(given, str) else given


_Item = Annotated[BatchItem, BeforeValidator(_as_item, json_schema_input_type=str | BatchItem)]


class MakeBatch(Submission):
    """Body of `POST /v1/batches`."""

    items: Annotated[list[_Item], Field(min_length=1)] = Field(
        description="Asset ids, addresses, or objects with more about each.",
        examples=[["ast_01k9…", {"front": "ast_01ka…", "back": "ast_01kb…", "name": "mug"}]],
    )
    model: Name | None = Field(default=None, description="See `GET /v1/models`.")
    params: Tree = {}

    def whole_items(self) -> list[BatchItem]:
        """Return all items, each with the params of the batch where it has none of its own."""
        return [
            item.model_copy(update={"params": {**self.params, **item.params}})
            for item in self.items
        ]


class BatchChange(BaseModel):
    """Body of `PATCH /v1/batches/{id}`."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    tags: Tags = []
    metadata: Tree = {}


def parse(kind: type[Body], body: object) -> Body:
    """Return `body` as `kind`, or raise `InvalidRequest` naming each field at fault."""
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise InvalidRequest(errors=field_errors(error)) from None


def field_errors(error: ValidationError) -> list[dict[str, Any]]:
    """Return what pydantic found, field by field, without echoing values back."""
    found: list[dict[str, Any]] = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        place = ".".join(str(part) for part in item["loc"])
        found.append(
            {"field": place or "body", "message": item["msg"].removeprefix("Value error, ")}
        )
    return found


def check_inputs(model: Model, given: Sequence[JobInput]) -> None:
    """Raise `InvalidRequest` for more pictures than the model takes, or ones of other roles."""
    for role in sorted({one.role for one in given} - model.roles):
        field = "references" if role is Role.REFERENCE else role.value
        message = f"the model {model.id!r} takes no {_ROLES[role]}"
        raise InvalidRequest(errors=[{"field": field, "message": message}])
    pictures = [one for one in given if one.role is not Role.MASK]
    if len(pictures) > model.max_inputs:
        raise InvalidRequest(
            errors=[{"field": "references", "message": f"at most {model.max_inputs}"}]
        )


def complete_params(model: Model, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `given` with the model's defaults and a seed, or raise `InvalidRequest`.

    A drawn seed is recorded with the job like a given one, so that every result can be made again.
    """
    validator = _validator(orjson.dumps(model.params_schema))
    errors = [
        {
            "field": ".".join(str(part) for part in problem.instance_path) or _culprit(problem),
            "message": _say(problem),
        }
        for problem in validator.iter_errors(dict(given))
    ]
    if errors:
        raise InvalidRequest(f"The model {model.id!r} does not take these params.", errors=errors)
    properties: Mapping[str, Any] = model.params_schema.get("properties", {})
    params = {
        name: deepcopy(schema["default"])
        for name, schema in properties.items()
        if "default" in schema
    } | dict(given)
    if "seed" in properties and "seed" not in params:
        params["seed"] = secrets.randbits(SEED_BITS)
    return params


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(orjson.loads(schema))


def _culprit(problem: jsonschema_rs.ValidationError) -> str:
    """Name the field that a whole-object rule is about, such as an unknown one."""
    unexpected = getattr(problem.kind, "unexpected", None)
    return ", ".join(unexpected) if unexpected else "params"


def _say(problem: jsonschema_rs.ValidationError) -> str:
    if getattr(problem.kind, "unexpected", None):
        return "unknown field"
    return problem.message[:300]
