"""Configuration of the SageMaker endpoints: region, S3 locations, topics, deadlines."""

from dataclasses import dataclass, field
from datetime import timedelta

from safelight.json_object import JsonObject
from safelight.providers.provider import Kind, Lane, Model, Role
from safelight.providers.remote.sagemaker.place import S3Place

NAME = "sagemaker"
_GRACE = timedelta(minutes=2)  # from the end of the work to its result in S3

_SIDE: JsonObject = {"type": "integer", "minimum": 64, "maximum": 4096, "default": 1024}
PARAMS: JsonObject = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "negative_prompt": {
            "title": "Negative prompt",
            "description": "What the picture should not show.",
            "type": "string",
            "maxLength": 4000,
            "default": "",
        },
        "width": {"title": "Width", "description": "In pixels.", **_SIDE},
        "height": {"title": "Height", "description": "In pixels.", **_SIDE},
        "num_images_per_prompt": {
            "title": "Pictures",
            "description": "How many pictures to make.",
            "type": "integer",
            "minimum": 1,
            "maximum": 4,
            "default": 1,
        },
        "num_inference_steps": {
            "title": "Steps",
            "description": "More steps take longer and show more detail.",
            "type": "integer",
            "minimum": 1,
            "maximum": 150,
            "default": 30,
        },
        "guidance_scale": {
            "title": "Guidance",
            "description": "How closely the picture follows the prompt.",
            "type": "number",
            "minimum": 0,
            "maximum": 30,
            "default": 5,
        },
        "strength": {
            "title": "Strength",
            "description": "How far the result may depart from the input picture.",
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 0.8,
        },
        "seed": {
            "title": "Seed",
            "description": "The same seed gives the same picture; without one each is new.",
            "type": "integer",
            "minimum": 0,
            "maximum": 2**32 - 1,
        },
    },
}


def image_model(endpoint: str, title: str = "SageMaker") -> Model:
    """Return the model for the endpoint of that name."""
    return Model(
        id=f"{NAME}/{endpoint}",
        provider=NAME,
        title=title,
        description="Pictures from your own Amazon SageMaker endpoint; the first one waits for it "
        "to scale up.",
        kinds=frozenset({Kind.TEXT_TO_IMAGE, Kind.IMAGE_TO_IMAGE}),
        lane=Lane.REMOTE,
        params_schema=PARAMS,
        # An endpoint scaled to zero takes several minutes to scale up.
        timeout=timedelta(minutes=30),
        max_inputs=1,
        roles=frozenset({Role.REFERENCE, Role.MASK}),
        vendor_id=endpoint,
    )


MODELS = (image_model("safelight-image"),)


@dataclass(frozen=True, slots=True)
class SageMakerConfig:
    """The endpoints of one installation, with shared S3 locations and topics.

    `outputs` and `failures` must be the S3OutputPath and S3FailurePath of the endpoint
    configuration. Without `access_key_id`, the AWS default credential chain is used. Empty URLs
    stand for AWS's own.
    """

    region: str
    inputs: S3Place
    outputs: S3Place
    failures: S3Place
    topics: frozenset[str] = frozenset()
    request_ttl: timedelta = timedelta(minutes=15)
    invocation_timeout: timedelta = timedelta(minutes=10)
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    runtime_url: str = ""
    control_url: str = ""
    s3_url: str = ""
    call_s: float = 30.0
    transfer_s: float = 120.0  # deadline for a whole object

    @property
    def domain(self) -> str:
        """The domain of AWS in this region."""
        return "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"

    @property
    def answers_within(self) -> timedelta:
        """How long after its start a request may still get a result."""
        return self.request_ttl + self.invocation_timeout + _GRACE

    def runtime(self) -> str:
        """Return the URL of the runtime API, which takes requests."""
        return (
            self.runtime_url or f"https://runtime.sagemaker.{self.region}.{self.domain}"
        ).rstrip("/")

    def control(self) -> str:
        """Return the URL of the control API, which describes endpoints."""
        return (self.control_url or f"https://api.sagemaker.{self.region}.{self.domain}").rstrip(
            "/"
        )
