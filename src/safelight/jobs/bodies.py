"""The request bodies of submits and changes, validated. Pure."""

from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
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
from safelight.jobs.fields import Caption, Name, Tags, Text, Time, Tree, Url, Whole, storable
from safelight.jobs.inputs import JobInput
from safelight.providers.provider import Role

MAX_PROMPT = 10_000
Body = TypeVar("Body", bound=BaseModel)


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
        AfterValidator(storable),
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


class NewBatchItem(BaseModel):
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


_Item = Annotated[
    NewBatchItem, BeforeValidator(_as_item, json_schema_input_type=str | NewBatchItem)
]


class MakeBatch(Submission):
    """Body of `POST /v1/batches`."""

    items: Annotated[list[_Item], Field(min_length=1)] = Field(
        description="Asset ids, addresses, or objects with more about each.",
        examples=[["ast_01k9…", {"front": "ast_01ka…", "back": "ast_01kb…", "name": "mug"}]],
    )
    model: Name | None = Field(default=None, description="See `GET /v1/models`.")
    params: Tree = {}

    def whole_items(self) -> list[NewBatchItem]:
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
