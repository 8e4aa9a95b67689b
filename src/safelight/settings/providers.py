"""Models, and the accounts at their vendors."""

from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

from safelight.settings.checked import S3_FOLDER, ExistingFile, HttpUrl


class ProviderSettings(BaseSettings):
    """Models, and the accounts at their vendors."""

    catalogue: ExistingFile | None = Field(
        default=None,
        description="TOML file of models, aliases, prices and limits; empty is "
        "`catalogue.toml` in the data folder, if it exists.",
    )
    inflate_saliency_model: ExistingFile | None = Field(
        default=None,
        description="ONNX model (U²-Net, IS-Net, BiRefNet …) with which `inflate` "
        "separates objects from their background; needs `safelight[onnx]`.",
    )
    openai_api_key: SecretStr = Field(
        default=SecretStr(""), description="OpenAI API key; enables its models."
    )
    openai_base_url: HttpUrl = Field(
        default="https://api.openai.com/v1",
        description="Base URL of OpenAI or a compatible server, with the version at the end.",
    )
    openai_organization: str = Field(
        default="", description="OpenAI organization to bill, if the key has several."
    )
    openai_project: str = Field(
        default="", description="OpenAI project to bill, if the key has several."
    )
    openai_stream: bool = Field(
        default=True,
        description="Request single pictures as a stream; turn off for servers that cannot.",
    )
    fal_key: SecretStr = Field(
        default=SecretStr(""), description="fal API key; enables its models."
    )
    fal_queue_url: HttpUrl = Field(
        default="https://queue.fal.run", description="Base URL of fal's queue."
    )
    fal_keys_url: HttpUrl = Field(
        default="https://rest.fal.ai/.well-known/jwks.json",
        description="JWKS URL of the keys that sign the webhooks of fal.",
    )
    fal_platform_url: HttpUrl = Field(
        default="https://api.fal.ai/v1",
        description="Where fal lists past requests, to find a job whose submit response "
        "was lost; empty never looks.",
    )
    replicate_api_token: SecretStr = Field(
        default=SecretStr(""),
        description="Replicate API token; enables its models.",
    )
    replicate_base_url: HttpUrl = Field(
        default="https://api.replicate.com/v1",
        description="Base URL of Replicate or a compatible server, with the version at the end.",
    )
    replicate_webhook_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Signing secret of the webhooks of Replicate, `whsec_…`; empty "
        "fetches it from Replicate.",
    )
    sagemaker_region: str = Field(
        default="", description="Region of your SageMaker endpoints; enables them."
    )
    sagemaker_endpoints: str = Field(
        default="", description="Names of asynchronous endpoints, separated by commas."
    )
    sagemaker_inputs: str = Field(
        default="",
        pattern=S3_FOLDER,
        description="Where requests are uploaded, as `s3://BUCKET/FOLDER`.",
    )
    sagemaker_outputs: str = Field(
        default="",
        pattern=S3_FOLDER,
        description="S3OutputPath of the endpoints, as `s3://BUCKET/FOLDER`.",
    )
    sagemaker_failures: str = Field(
        default="",
        pattern=S3_FOLDER,
        description="S3FailurePath of the endpoints, as `s3://BUCKET/FOLDER`.",
    )
    sagemaker_topics: str = Field(
        default="",
        description="ARNs of the SNS topics to which the endpoints report, separated by commas.",
    )
    sagemaker_url: HttpUrl = Field(
        default="",
        description="Endpoint that replaces SageMaker and its S3, such as LocalStack; "
        "empty is AWS.",
    )

    @model_validator(mode="after")
    def _sagemaker_is_whole(self) -> Self:
        names = ("endpoints", "inputs", "outputs", "failures")
        missing = [name for name in names if not getattr(self, f"sagemaker_{name}")]
        if self.sagemaker_region and missing:
            raise ValueError(
                f"SAFELIGHT_SAGEMAKER_REGION needs SAFELIGHT_SAGEMAKER_{missing[0].upper()} too"
            )
        return self
