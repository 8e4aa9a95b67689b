"""The request bodies of submits and changes, validated. Pure."""

from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from safelight.accounts.account import Visibility
from safelight.errors import InvalidRequest
from safelight.jobs.fields import (
    STRICT,
    Caption,
    Name,
    Tags,
    Text,
    Time,
    Tree,
    Url,
    Whole,
    storable,
)
from safelight.jobs.inputs import JobInput
from safelight.json_object import JsonObject
from safelight.providers.provider import Role

MAX_PROMPT = 10_000
Body = TypeVar("Body", bound=BaseModel)


class Submission(BaseModel):
    """Fields common to all submits."""

    model_config = STRICT

    name: Name = ""
    external_id: Name = Field(default="", description="Your own id, for lookups.")
    tags: Tags = []
    metadata: Tree = {}
    priority: int = Field(
        default=0, ge=-100, le=100, description="Higher runs first among your own jobs."
    )
    keep_s: Annotated[int, Field(ge=60, le=10 * 366 * 86_400)] | None = Field(
        default=None,
        description="Seconds after which the outputs expire; by default as set for the account.",
    )
    visibility: Visibility | None = Field(
        default=None,
        strict=False,
        description="Who can fetch the outputs: anyone with the URL, or holders of a signed URL "
        "that expires; by default as set for the account.",
    )
    webhook_url: Url | None = Field(
        default=None, description="Notified once the job or the whole batch has ended."
    )
    notify: Annotated[list[Name], Field(max_length=10)] | None = Field(
        default=None,
        description="Contacts, by id or as `email`, `sms` or `sns`, to notify when it has ended; "
        "an empty list notifies none; by default the contacts' own subscriptions apply.",
    )
    start_at: Time | None = Field(default=None, description="Do not start before this time.")
    start_by: Time | None = Field(default=None, description="Fail if not started by this time.")

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
    ] = Field(description="The picture to create.", examples=["A red cat playing guitar"])
    model: Name | None = Field(default=None, description="See `GET /v1/models`.")
    references: Annotated[list[Url], Field(max_length=16)] = Field(
        default=[], description="Asset ids or URLs of reference pictures."
    )
    mask: Url | None = Field(
        default=None,
        description="A picture of the same size as the first reference; its transparent areas mark "
        "what may change.",
    )
    n: Whole | None = Field(default=None, description="Number of pictures.")
    size: Text | None = Field(default=None, examples=["1024x1024"])
    aspect_ratio: Text | None = Field(default=None, examples=["16:9"])
    seed: Whole | None = Field(
        default=None, description="The same prompt and seed give the same picture."
    )
    format: Text | None = Field(default=None, examples=["png"])
    negative_prompt: Text | None = None
    params: Tree = Field(default={}, description="Other parameters of the model.")

    @model_validator(mode="after")
    def _mask_has_a_picture(self) -> Self:
        if self.mask and not self.references:
            raise ValueError("a mask requires a picture in references")
        return self

    @property
    def inputs(self) -> list[JobInput]:
        """The input pictures, the mask last."""
        masks = [JobInput(self.mask, Role.MASK)] if self.mask else []
        return [*map(JobInput, self.references), *masks]

    def all_params(self) -> JsonObject:
        """Return `params` merged with the named parameters."""
        named = ("n", "size", "aspect_ratio", "seed", "format", "negative_prompt")
        given = {name: getattr(self, name) for name in named if getattr(self, name) is not None}
        return {**self.params, **given}


class ImportItem(BaseModel):
    """One picture of a batch import."""

    model_config = STRICT

    url: Url
    name: Name = ""
    external_id: Name = ""
    tags: Tags = []
    metadata: Tree = {}


class ImportImages(Submission):
    """Body of `POST /v1/images`.

    Fields of the batch apply to all of its pictures, which can add to them.
    """

    url: Url | None = Field(default=None, examples=["https://example.com/photo.jpg"])
    urls: list[Any] | None = Field(
        default=None,
        description="Several pictures as a batch: URLs, or objects with more fields. An invalid "
        "item is reported as its own problem; the others proceed.",
        json_schema_extra={
            "items": {
                "anyOf": [
                    {"type": "string"},
                    ImportItem.model_json_schema(),
                    {"description": "Anything else is reported as the item's own problem."},
                ]
            },
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
            raise ValueError("external_id identifies one picture: set it on each of urls instead")
        return self

    def items(self) -> list[ImportItem | InvalidRequest]:
        """Return each of `urls` merged with the common fields, or its validation error."""
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

    model_config = STRICT

    name: Name = ""
    caption: Caption = ""
    external_id: Name = ""
    tags: Tags = []
    metadata: Tree = {}
    visibility: Visibility = Field(default=Visibility.PUBLIC, strict=False)
    expires_at: Time | None = Field(default=None, description="When it expires; null means never.")


class Hold(BaseModel):
    """Body of `PUT /v1/assets/{id}/hold`."""

    model_config = STRICT

    reason: Annotated[Name, Field(min_length=1, description="The reason of the legal hold.")]


class UploadFields(AssetChange):
    """The form fields of `POST /v1/uploads`, besides the file."""


class UploadBatch(Submission):
    """The form fields of `POST /v1/upload/batch`, besides the files."""

    model: Name | None = None
    params: Tree = {}


class NewBatchItem(BaseModel):
    """An object to turn into a 3D model: one picture, or several views."""

    model_config = STRICT

    image: Url | None = Field(default=None, description="An asset id or a URL.")
    front: Url | None = None
    left: Url | None = None
    back: Url | None = None
    right: Url | None = None
    name: Name = ""
    params: Tree = Field(default={}, description="Overrides the batch's params.")

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        views = [self.front, self.left, self.back, self.right]
        if (self.image is None) == (self.front is None):
            raise ValueError("give either image or front")
        if self.image is not None and any(views):
            raise ValueError("left, back and right require front")
        return self

    @property
    def inputs(self) -> list[JobInput]:
        """The input pictures."""
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
        description="Asset ids, URLs, or objects with more fields.",
        examples=[["ast_01k9…", {"front": "ast_01ka…", "back": "ast_01kb…", "name": "mug"}]],
    )
    model: Name | None = Field(default=None, description="See `GET /v1/models`.")
    params: Tree = {}

    def whole_items(self) -> list[NewBatchItem]:
        """Return all items, their params merged over those of the batch."""
        return [
            item.model_copy(update={"params": {**self.params, **item.params}})
            for item in self.items
        ]


class BatchChange(BaseModel):
    """Body of `PATCH /v1/batches/{id}`."""

    model_config = STRICT

    name: Name = ""
    tags: Tags = []
    metadata: Tree = {}


def parse(kind: type[Body], form: object) -> Body:
    """Validate a form, whose fields are text; raise `InvalidRequest` with an error per field."""
    try:
        return kind.model_validate(form, strict=False)
    except ValidationError as error:
        raise InvalidRequest(errors=field_errors(error)) from None


def field_errors(error: ValidationError) -> list[JsonObject]:
    """Convert pydantic's errors, field by field, without echoing values."""
    found: list[JsonObject] = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        place = ".".join(str(part) for part in item["loc"])
        found.append(
            {"field": place or "body", "message": item["msg"].removeprefix("Value error, ")}
        )
    return found
