"""Downloads and webhooks: where they may go, and how far."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from safelight.settings.checked import MIB, Hosts, Networks, Ports, ProxyUrl


class FetchSettings(BaseSettings):
    """Downloads and webhooks: where they may go, and how far."""

    fetch_allow_private: bool = Field(
        default=False,
        description="Allow downloads from private addresses. For closed networks and tests.",
    )
    fetch_allow_networks: Networks = Field(
        default="",
        description="Private networks that downloads and webhooks may reach nevertheless, "
        "separated by commas: `10.1.0.0/16,fd12::/48`. Metadata services stay "
        "blocked.",
    )
    fetch_allow_hosts: Hosts = Field(
        default="",
        description="The only hosts that downloads and webhooks may reach, separated by "
        "commas; `example.com` includes its subdomains. Empty is every host.",
    )
    fetch_deny_hosts: Hosts = Field(
        default="",
        description="Hosts that downloads and webhooks never reach, in the same form; "
        "takes precedence over allowed hosts.",
    )
    fetch_proxy: ProxyUrl = Field(
        default=SecretStr(""),
        description="Proxy for downloads and webhooks: "
        "`http://[user:password@]host:port`, with special characters escaped; "
        "empty is none.",
    )
    fetch_ports: Ports = Field(
        default="80,443,8080,8443",
        description="Ports that downloads and webhooks may use, separated by commas.",
    )
    fetch_max_bytes: int = Field(
        default=100 * MIB, ge=1024, description="Largest download, in bytes."
    )
    fetch_total_s: float = Field(
        default=60, gt=0, description="Time limit of a download, in seconds."
    )
