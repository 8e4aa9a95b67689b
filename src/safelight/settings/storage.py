"""File storage, and the URLs of files."""

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings

from safelight.settings.checked import ExistingFile, HttpUrl


class StorageSettings(BaseSettings):
    """File storage, and the URLs of files."""

    storage: str = Field(
        default="",
        description="Where files are stored: `file:///FOLDER`, "
        "`s3://BUCKET/FOLDER?region=…`, `gs://…` or `az://…`; empty is "
        "`objects` in the data folder.",
    )
    storage_public: str = Field(
        default="",
        description="Separate store for public files; empty keeps them with the others.",
    )
    files_url: HttpUrl = Field(
        default="",
        description="Base URL of public files, such as a CDN's; empty is `/files` of this server.",
    )
    private_files: Literal["stream", "bucket", "cloudfront"] = Field(
        default="stream",
        description="How private files are served: streamed by this server, or by "
        "redirect to a presigned bucket or CloudFront URL.",
    )
    signed_s: int = Field(
        default=3600,
        ge=60,
        le=7 * 86_400,
        description="Minimum lifetime of a signed URL, in seconds.",
    )
    file_requests_per_s: float = Field(
        default=300,
        ge=0,
        description="Rate limit for requests to one file, per process; 0 is no limit.",
    )
    cloudfront_key_id: str = Field(
        default="", description="Id of the public key with which CloudFront verifies signed URLs."
    )
    cloudfront_key: ExistingFile | None = Field(
        default=None, description="PEM file with the matching private key."
    )
    cloudfront_distribution: str = Field(
        default="",
        description="Id of the distribution from which removed files are purged; needs "
        "`safelight[cloudfront]`.",
    )

    @model_validator(mode="after")
    def _cloudfront_is_whole(self) -> Self:
        if self.private_files == "cloudfront":
            for name in ("files_url", "cloudfront_key_id", "cloudfront_key"):
                if not getattr(self, name):
                    raise ValueError(
                        f"SAFELIGHT_PRIVATE_FILES=cloudfront needs SAFELIGHT_{name.upper()} too"
                    )
        if self.cloudfront_distribution and not self.files_url:
            raise ValueError("SAFELIGHT_CLOUDFRONT_DISTRIBUTION needs SAFELIGHT_FILES_URL too")
        return self
