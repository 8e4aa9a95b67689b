"""The HTTP server and the limits of a request."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings

from safelight.settings.checked import MIB, ExistingFile, Hosts, HttpUrl, Origins


class WebSettings(BaseSettings):
    """The HTTP server and the limits of a request."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(
        default=8765, ge=0, le=65535, description="Port to listen on; 0 takes any free one."
    )
    public_url: HttpUrl = Field(
        default="",
        description="Public base URL of this server; empty is host and port, which "
        "providers cannot call back.",
    )
    allowed_hosts: Hosts = Field(
        default="",
        description="Other host names by which browsers reach this server, separated by commas; "
        "`example.com` includes its subdomains. The public URL's, loopback names and "
        "IP addresses are always allowed.",
    )
    cors_origins: Origins = Field(
        default="",
        description="Origins of other sites whose pages may call the API with a key or token, "
        "separated by commas: `https://app.example.com`. Cookies are never taken from them.",
    )
    login: Literal["people", "keys"] = Field(
        default="people",
        description="`people` sign in with e-mail address and password; `keys` takes API keys and "
        "login links only. To listen on other than loopback addresses, `people` needs a user "
        "with a password.",
    )
    breached_passwords: ExistingFile | None = Field(
        default=None,
        description="File of passwords that nobody may choose: lines of `SHA1:COUNT` sorted by "
        "hash, as Have I Been Pwned offers it.",
    )
    open_probes: Literal["auto", "yes", "no"] = Field(
        default="auto",
        description="Show `/metrics` and the details of `/health/ready` to everyone at the API's "
        "port, or to admins only; `auto` is everyone if only this machine can connect.",
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
    max_batch_files: int = Field(default=25, ge=1, le=1000, description="Most files in a 3D batch.")
    max_batch_urls: int = Field(
        default=1000, ge=1, le=10_000, description="Most URLs in one import request."
    )
    max_wait_s: int = Field(
        default=60, ge=0, le=600, description="Longest `Prefer: wait`, in seconds."
    )
