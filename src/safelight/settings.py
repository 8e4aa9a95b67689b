"""All settings in one place: environment variables `SAFELIGHT_…`; see docs/settings.md."""

import os
import re
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import platformdirs
from dotenv import dotenv_values
from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 2**20
_ADDRESS = r"^$|^https?://[^\s?#]+$"
_S3_PLACE = r"^$|^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^?#]*)?$"

_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.ASCII)
_PROXY = re.compile(r"http://(?:[^\s/?#@:]+:[^\s/?#@:]*@)?[^\s/?#@]+:\d{1,5}/?", re.ASCII)


def _entries(text: str) -> list[str]:
    """Split at commas; an empty entry is a slip, and must not open what a list was to close."""
    entries = [entry.strip() for entry in text.split(",")] if text.strip() else []
    if not all(entries):
        raise ValueError("there is nothing between two commas")
    return entries


def _hosts(text: str) -> str:
    """Return the list in one spelling: lower case, without `*.` and last dots."""
    return ",".join(map(_host, _entries(text)))


def _host(entry: str) -> str:
    host = entry.lower().removeprefix("*.").removesuffix(".")
    try:
        return str(ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        pass  # a name, then
    if not _HOST.fullmatch(host) or host.rpartition(".")[2].isdigit():
        raise ValueError(
            f"`{entry}` is no host: give names such as `example.com`, without scheme, port or "
            "path, and with other letters in their `xn--` form"
        )
    return host


def _networks(text: str) -> str:
    for entry in _entries(text):
        try:
            ip_network(entry)
        except ValueError as error:
            raise ValueError(f"{error}; give networks such as `10.1.0.0/16`") from None
    return ",".join(_entries(text))


def _proxy(secret: SecretStr) -> SecretStr:
    url = secret.get_secret_value()
    # The message must not repeat what may hold a password.
    if url and not (_PROXY.fullmatch(url) and _has_real_port(url)):
        raise ValueError("it must look like `http://host:port` or `http://user:password@host:port`")
    return secret


def _has_real_port(url: str) -> bool:
    try:
        return bool(urlsplit(url).port)
    except ValueError:
        return False


Hosts = Annotated[str, AfterValidator(_hosts)]
Networks = Annotated[str, AfterValidator(_networks)]
ProxyUrl = Annotated[SecretStr, AfterValidator(_proxy)]


class Settings(BaseSettings):
    """What an operator may change. Only `app` and `cli` read it; the rest is handed values."""

    model_config = SettingsConfigDict(
        env_prefix="SAFELIGHT_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # some of it is secret
    )

    # where things are
    data_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("safelight")),
        description="Folder of the database, the stored files and the local key.",
    )
    database_url: str = Field(
        default="",
        description="`postgresql://…` or `sqlite:///…`; empty is SQLite in the data folder.",
    )

    doorbell_url: str = Field(
        default="",
        description="What carries rings between processes: `postgresql://…`, `redis://…`, "
        "`nats://…` or `sqs://REGION/PREFIX`; empty is the database where that is PostgreSQL.",
    )

    # where bytes are kept, and by which addresses
    storage: str = Field(
        default="",
        description="Where files are kept: `file:///FOLDER`, `s3://BUCKET/FOLDER?region=…`, "
        "`gs://…` or `az://…`; empty is `objects` in the data folder.",
    )
    storage_public: str = Field(
        default="",
        description="Where those are kept that anybody may see, if apart from the others.",
    )
    files_url: str = Field(
        default="",
        pattern=_ADDRESS,
        description="What addresses of public files begin with, such as a CDN's; empty is "
        "`/files` of this server.",
    )
    private_files: Literal["stream", "bucket", "cloudfront"] = Field(
        default="stream",
        description="How who has the signed address of a private file gets it: through this "
        "server, or sent on to an address of the bucket's or of CloudFront's.",
    )
    signed_s: int = Field(
        default=3600,
        ge=60,
        le=7 * 86_400,
        description="Seconds that the address of a private file holds at least.",
    )
    file_requests_per_s: float = Field(
        default=300,
        ge=0,
        description="Requests a second for one file, of each process; 0 is no limit.",
    )
    cloudfront_key_id: str = Field(
        default="", description="Id of the public key that CloudFront checks signed addresses by."
    )
    cloudfront_key: Path | None = Field(
        default=None, description="PEM file of the private key that belongs to it."
    )
    cloudfront_distribution: str = Field(
        default="",
        description="Id of the distribution that forgets files once they are removed; needs "
        "`safelight[cloudfront]`.",
    )

    # the web edge
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8765, ge=0, le=65535, description="Port to listen on; 0 takes any.")
    public_url: str = Field(
        default="",
        description="Address that others reach this server by; empty is host and port, "
        "which no provider is told to report to.",
    )
    max_body_bytes: int = Field(
        default=300 * MIB, ge=MIB, description="Largest request body, in bytes."
    )
    max_file_bytes: int = Field(
        default=10 * MIB, ge=1024, description="Largest file of a 3D batch, in bytes."
    )
    max_upload_bytes: int = Field(
        default=50 * MIB, ge=1024, description="Largest single upload, in bytes."
    )
    max_batch_files: int = Field(default=25, ge=1, le=1000, description="Most files of a 3D batch.")
    max_batch_urls: int = Field(
        default=1000, ge=1, le=10_000, description="Most addresses of one import call."
    )
    max_wait_s: int = Field(
        default=60, ge=0, le=600, description="Longest `Prefer: wait`, in seconds."
    )

    # the work
    lanes: str = Field(
        default="",
        pattern=r"^$|^(local|gpu|ingest|remote)(,(local|gpu|ingest|remote))*$",
        description="Lanes that a worker serves, with commas between; empty is all.",
    )
    local_slots: int = Field(
        default=0, ge=0, description="Jobs computed here at once; 0 is one a processor core."
    )
    gpu_slots: int = Field(
        default=0,
        ge=0,
        description="Jobs at once that need a GPU; 0 is one a device that the catalogue names.",
    )
    inflate_saliency_model: Path | None = Field(
        default=None,
        description="An ONNX file (U²-Net, IS-Net, BiRefNet …) by which `inflate` tells objects "
        "from their background; needs `safelight[onnx]`.",
    )
    ingest_slots: int = Field(default=32, ge=1, description="Downloads at once.")
    remote_slots: int = Field(
        default=2000, ge=1, description="Jobs at once that wait for other machines."
    )
    account_limit: int = Field(
        default=0,
        ge=0,
        description="Most jobs of one account in flight, over all workers; 0 is no limit.",
    )
    lease_s: float = Field(
        default=30, gt=0.1, description="Seconds after which a silent worker's jobs are taken back."
    )
    janitor_interval_s: float = Field(
        default=5, gt=0.01, description="Seconds between two looks for work that was missed."
    )
    grace_s: float = Field(
        default=30, ge=0, description="Seconds that running jobs get to finish at stop."
    )
    max_attempts: int = Field(
        default=3, ge=1, le=20, description="Attempts of a job before it has failed."
    )
    retry_base_s: float = Field(
        default=1,
        gt=0,
        description="Wait before the second attempt, in seconds; doubles each time.",
    )
    retry_cap_s: float = Field(
        default=60, gt=0, description="Longest wait before another attempt, in seconds."
    )
    adopts_within_s: float = Field(
        default=900,
        ge=0,
        description="Seconds that fal and Replicate are asked about work whose answer was lost, or "
        "may report it, before it is a person's to judge.",
    )
    unknown_after_hours: float = Field(
        default=24,
        ge=0,
        description="Hours after a job's time for which a provider that refuses to tell of its "
        "work is asked again, before it is for a person to judge.",
    )
    events_kept_days: float = Field(
        default=30,
        ge=0,
        description="Days after which events are forgotten; 0 keeps them for good.",
    )
    jobs_kept_days: float = Field(
        default=0,
        ge=0,
        description="Days after which finished jobs are forgotten; their files stay. 0 keeps them.",
    )

    outputs_kept_days: float = Field(
        default=0,
        ge=0,
        description="Days after which what jobs made goes by itself, where a job does not say "
        "otherwise; 0 keeps it.",
    )

    deleted_kept_days: float = Field(
        default=0,
        ge=0,
        description="Days that a deleted asset can be had back; 0 deletes for good at once.",
    )

    # telling people
    mail_url: SecretStr = Field(
        default=SecretStr(""),
        description="Who carries mails: `smtp://user:password@host:587` (with STARTTLS), "
        "`smtps://…:465`, or `ses://REGION`; empty sends none.",
    )
    mail_from: str = Field(
        default="", description="Sender of mails, such as `Safelight <news@example.com>`."
    )
    mail_templates: Path | None = Field(
        default=None,
        description="Folder of templates that replace those of the same name in Safelight.",
    )
    sms_region: str = Field(
        default="", description="Region of Amazon SNS that sends SMS; empty sends none."
    )
    sns_topics: str = Field(
        default="",
        description="ARNs of the topics that accounts may have told, with commas between.",
    )
    digest_hour: int = Field(
        default=7, ge=0, le=23, description="Hour, in UTC, at which the digest of a day is sent."
    )

    # models and vendors
    catalogue: Path | None = Field(
        default=None,
        description="TOML file of models, aliases, prices and limits; empty is `catalogue.toml` in "
        "the data folder, where there is one.",
    )
    openai_api_key: SecretStr = Field(
        default=SecretStr(""), description="Key of an OpenAI account; with it its models are there."
    )
    openai_base_url: str = Field(
        default="https://api.openai.com/v1",
        description="OpenAI, or a server that speaks its protocol, with the version at the end.",
    )
    openai_organization: str = Field(
        default="", description="The organization that calls are counted for, where a key has some."
    )
    openai_project: str = Field(
        default="", description="The project that calls are counted for, where a key has some."
    )
    openai_stream: bool = Field(
        default=True,
        description="Ask for single pictures as a stream; off for servers that stumble over it.",
    )
    fal_key: SecretStr = Field(
        default=SecretStr(""), description="Key of a fal account; with it its models are there."
    )
    fal_queue_url: str = Field(
        default="https://queue.fal.run", description="fal's queue, or a server that stands for it."
    )
    fal_keys_url: str = Field(
        default="https://rest.fal.ai/.well-known/jwks.json",
        description="Where the keys are published that fal's webhooks are signed by.",
    )
    fal_platform_url: str = Field(
        default="https://api.fal.ai/v1",
        description="Where fal lists what it was asked for, to find work whose answer was lost; "
        "empty asks nobody.",
    )
    replicate_api_token: SecretStr = Field(
        default=SecretStr(""),
        description="Token of a Replicate account; with it its models are there.",
    )
    replicate_base_url: str = Field(
        default="https://api.replicate.com/v1",
        description="Replicate, or a server that speaks its protocol, with the version at the end.",
    )
    replicate_webhook_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Secret of Replicate's webhooks, `whsec_…`; empty asks Replicate for it.",
    )
    sagemaker_region: str = Field(
        default="", description="Region of your SageMaker endpoints; with it they are there."
    )
    sagemaker_endpoints: str = Field(
        default="", description="Names of asynchronous endpoints, with commas between."
    )
    sagemaker_inputs: str = Field(
        default="",
        pattern=_S3_PLACE,
        description="Where requests are put, as `s3://BUCKET/FOLDER`.",
    )
    sagemaker_outputs: str = Field(
        default="",
        pattern=_S3_PLACE,
        description="The endpoints' S3OutputPath, as `s3://BUCKET/FOLDER`.",
    )
    sagemaker_failures: str = Field(
        default="",
        pattern=_S3_PLACE,
        description="The endpoints' S3FailurePath, as `s3://BUCKET/FOLDER`.",
    )
    sagemaker_topics: str = Field(
        default="", description="ARNs of the SNS topics that report, with commas between."
    )
    sagemaker_url: str = Field(
        default="",
        pattern=_ADDRESS,
        description="A server that stands for SageMaker and its S3, such as LocalStack; "
        "empty is AWS.",
    )

    # pictures and downloads
    keep_originals: bool = Field(
        default=True,
        description="Keep imported and uploaded files as they came, in private; without, only the "
        "public copy stays.",
    )
    max_pixels: int = Field(
        default=60_000_000, ge=1, description="Most pixels of one picture, width times height."
    )
    fetch_allow_private: bool = Field(
        default=False,
        description="Whether downloads may go to private addresses. For closed networks and tests.",
    )
    fetch_allow_networks: Networks = Field(
        default="",
        description="Private networks that downloads and webhooks may go to all the same, with "
        "commas between: `10.1.0.0/16,fd12::/48`. Metadata services stay closed.",
    )
    fetch_allow_hosts: Hosts = Field(
        default="",
        description="The only hosts that downloads and webhooks may go to, with commas between; "
        "`example.com` stands for everything below it too. Empty is every host.",
    )
    fetch_deny_hosts: Hosts = Field(
        default="",
        description="Hosts that downloads and webhooks never go to, written likewise; they win "
        "over allowed ones.",
    )
    fetch_proxy: ProxyUrl = Field(
        default=SecretStr(""),
        description="Proxy that downloads and webhooks go through: "
        "`http://[user:password@]host:port`, with special characters escaped; empty is none.",
    )
    fetch_ports: str = Field(
        default="80,443,8080,8443",
        pattern=r"^\d{1,5}(,\d{1,5})*$",
        description="Ports that downloads may go to, with commas between.",
    )
    fetch_max_bytes: int = Field(
        default=100 * MIB, ge=1024, description="Largest download, in bytes."
    )
    fetch_total_s: float = Field(
        default=60, gt=0, description="Longest download from start to end, in seconds."
    )

    # this installation
    min_free_bytes: int = Field(
        default=256 * MIB,
        ge=0,
        description="Free disk space kept back: below it, new work is refused.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line to write."
    )
    probe_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port of `/health` and `/metrics` of a process without the API; 0 is none.",
    )
    metrics_emf: bool = Field(
        default=False,
        description="Write queue metrics to standard output in CloudWatch's embedded format.",
    )
    log_format: Literal["console", "json"] = Field(
        default="console", description="How log lines look."
    )
    fake_provider: bool = Field(
        default=False, description="Offer the scriptable `fake` model. For tests and benches."
    )

    # the command line
    url: str = Field(default="", description="CLI: address of a running server.")
    api_key: SecretStr = Field(default=SecretStr(""), description="CLI: API key for that server.")

    @model_validator(mode="after")
    def _cloudfront_is_whole(self) -> Self:
        if self.private_files == "cloudfront":
            for name in ("files_url", "cloudfront_key_id", "cloudfront_key"):
                if not getattr(self, name):
                    raise ValueError(f"private_files=cloudfront needs {name} too")
        if self.cloudfront_distribution and not self.files_url:
            raise ValueError("cloudfront_distribution needs files_url too")
        return self

    @model_validator(mode="after")
    def _mail_is_whole(self) -> Self:
        if self.mail_url.get_secret_value() and "@" not in self.mail_from:
            raise ValueError("mail_url needs mail_from too")
        return self

    @model_validator(mode="after")
    def _sagemaker_is_whole(self) -> Self:
        names = ("endpoints", "inputs", "outputs", "failures")
        missing = [name for name in names if not getattr(self, f"sagemaker_{name}")]
        if self.sagemaker_region and missing:
            raise ValueError(f"sagemaker_region needs sagemaker_{missing[0]} too")
        return self

    @property
    def objects(self) -> Path | None:
        """The folder of files where no other place is named."""
        return None if self.storage else self.data_dir / "objects"

    @property
    def environment(self) -> dict[str, str]:
        """What `${NAME}` may stand for in the catalogue: the environment, over `.env`."""
        kept = {name: value for name, value in dotenv_values(".env").items() if value is not None}
        return kept | dict(os.environ)  # noqa: TID251  this is the one place

    @property
    def lease(self) -> timedelta:
        """The lease as a duration."""
        return timedelta(seconds=self.lease_s)
