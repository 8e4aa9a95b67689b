"""Turns settings into the values that each part takes.

Raises `SettingInvalid` where one cannot be understood.
"""

import base64
import importlib.util
import platform
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import quote, urlsplit

from safelight.assets.keys import MEDIA_TYPES, cache_control_of, ending_of, is_public
from safelight.assets.urls import Links
from safelight.cpu import CpuPool
from safelight.db.address import check_address, is_postgres
from safelight.db.engine import Database
from safelight.db.sealed import KEY_BYTES, Seal
from safelight.errors import SettingInvalid
from safelight.extras import how_to_install
from safelight.fetch import FetchPolicy, Proxy
from safelight.fetch.trusted import TrustedClient
from safelight.identity.issuers.issuer_file import read_issuers
from safelight.identity.issuers.oidc import Oidc
from safelight.identity.issuers.tokens import Tokens
from safelight.jobs.scheduling.limits import ClaimLimits, ProviderLimit
from safelight.media.pictures.inspect import InspectRules
from safelight.providers.catalogue import Catalogue, read_catalogue
from safelight.providers.open import SageMakerPlaces, Vendors
from safelight.providers.provider import Lane
from safelight.providers.remote.fal import FalConfig
from safelight.providers.remote.openai import OpenAiConfig
from safelight.providers.remote.replicate import ReplicateConfig
from safelight.settings import Settings
from safelight.storage.cdn import Cdn, NoCdn
from safelight.storage.open import open_storage
from safelight.storage.place import Place, parse_place
from safelight.storage.storage import Served, Storage
from safelight.web.hosts import Hosts, is_loopback
from safelight.web.services import RequestLimits

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  nothing is bound to these
_DIRECT = timedelta(minutes=10)  # the life of a presigned URL after a redirect

Direct = Callable[[str], Awaitable[str | None]]
"""Returns the address of a file for who may have it, None where this server brings it."""


async def with_aws_secrets(settings: Settings) -> Settings:
    """Return the settings with the secrets that they refer to in AWS Secrets Manager."""
    from safelight.settings.aws_secrets import resolved  # noqa: PLC0415

    return await resolved(settings)


# --- addresses -------------------------------------------------------------------------------


def database_url(settings: Settings) -> str:
    """Return where the rows are."""
    if not settings.database_url:
        return f"sqlite:///{quote(str(settings.data_dir / 'safelight.db'))}"
    _check_address("SAFELIGHT_DATABASE_URL", settings.database_url)
    return settings.database_url


def seal(settings: Settings) -> Seal:
    """Return what encrypts the secrets in rows."""
    keys: list[bytes] = []
    for text in _names(settings.encryption_key.get_secret_value()):
        try:
            key = base64.b64decode(text, validate=True)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise SettingInvalid(
                f"SAFELIGHT_ENCRYPTION_KEY: give {KEY_BYTES} bytes in base64, as "
                "`openssl rand -base64 32` prints, or several with commas between them"
            )
        keys.append(key)
    return Seal(keys)


def _check_address(setting: str, url: str) -> None:
    try:
        check_address(url)
    except ValueError as error:
        raise SettingInvalid(f"{setting}: {error}") from None


def doorbell_url(settings: Settings) -> str:
    """Return what carries rings; empty is this process alone."""
    if is_postgres(settings.doorbell_url):
        _check_address("SAFELIGHT_DOORBELL_URL", settings.doorbell_url)
    is_shared = settings.database_url and not settings.database_url.startswith("sqlite:")
    return settings.doorbell_url or (settings.database_url if is_shared else "")


def public_url(settings: Settings) -> str:
    """Return the address that others reach this server by; without one, where it listens."""
    return settings.public_url.rstrip("/") or address_of(settings.host, settings.port)


def address_of(host: str, port: int) -> str:
    """Return the address at which this machine reaches what listens there."""
    host = _WILDCARDS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def links(settings: Settings, secret: str) -> Links:
    """Return what makes addresses; `secret` signs those of private files."""
    lifetime = timedelta(seconds=settings.signed_s)
    return Links(public_url(settings), _files_url(settings), secret, lifetime)


def _files_url(settings: Settings) -> str:
    return settings.files_url.rstrip("/") or f"{public_url(settings)}/files"


# --- files -----------------------------------------------------------------------------------


def storage_place(settings: Settings) -> Place:
    """Return where files are kept."""
    folder = settings.data_dir / "objects"
    return _place("storage", settings.storage) or Place("file", folder=str(folder))


def storage(settings: Settings) -> Storage:
    """Return what keeps files."""
    place, public = storage_place(settings), _place("storage_public", settings.storage_public)
    return open_storage(place, public, describe=_served, is_public=is_public)


def _place(name: str, text: str) -> Place | None:
    try:
        return parse_place(text) if text else None
    except ValueError as error:
        raise SettingInvalid(f"SAFELIGHT_{name.upper()}: {error}") from None


def _served(key: str) -> Served:
    media_type = MEDIA_TYPES.get(ending_of(key), "application/octet-stream")
    return Served(media_type, cache_control_of(key))


def direct(settings: Settings, storage: Storage) -> Direct:
    """Return what sends who may have a private file to where it is, instead of bringing it."""
    if settings.private_files == "bucket":
        return partial(storage.address, lifetime=_DIRECT)
    if settings.private_files == "cloudfront" and settings.cloudfront_key:
        from safelight.storage.signer import CloudFrontSigner  # noqa: PLC0415  7 MB of cryptography

        base = _files_url(settings)
        try:
            signer = CloudFrontSigner(base, settings.cloudfront_key_id, settings.cloudfront_key)
        except ValueError as error:
            raise SettingInvalid(f"SAFELIGHT_CLOUDFRONT_KEY: {error}") from None
        return partial(signer.address, lifetime=_DIRECT)
    return _nowhere


async def _nowhere(_key: str) -> str | None:
    return None


async def file_origins(settings: Settings, direct: Direct) -> tuple[str, ...]:
    """Return from where else than this server pages may show files."""
    addresses = [settings.public_url, settings.files_url, await direct("any") or ""]
    parts = [urlsplit(address) for address in addresses if address]
    return tuple(dict.fromkeys(f"{each.scheme}://{each.netloc}" for each in parts))


def cdn(settings: Settings) -> Cdn:
    """Return what forgets files that were removed."""
    if not settings.cloudfront_distribution:
        return NoCdn()
    try:
        from safelight.storage.cloudfront import CloudFrontCdn  # noqa: PLC0415  an extra
    except ModuleNotFoundError:
        raise SettingInvalid(
            "SAFELIGHT_CLOUDFRONT_DISTRIBUTION needs the extra `cloudfront`: "
            + how_to_install("cloudfront")
        ) from None
    return CloudFrontCdn(settings.cloudfront_distribution, _files_url(settings))


# --- rules and limits ------------------------------------------------------------------------


def fetch_policy(settings: Settings) -> FetchPolicy:
    """Return where downloads and webhooks may go, and how large they may be."""
    proxy = settings.fetch_proxy.get_secret_value()
    return FetchPolicy(
        own_files=f"{public_url(settings)}/files/",
        allow_private=settings.fetch_allow_private,
        allow_networks=tuple(map(ip_network, _names(settings.fetch_allow_networks))),
        allow_hosts=frozenset(_names(settings.fetch_allow_hosts)),
        deny_hosts=frozenset(_names(settings.fetch_deny_hosts)),
        proxy=Proxy.parse(proxy) if proxy else None,
        ports=frozenset(int(port) for port in settings.fetch_ports.split(",")),
        max_bytes=settings.fetch_max_bytes,
        total_s=settings.fetch_total_s,
    )


def inspect_rules(settings: Settings) -> InspectRules:
    """Return which pictures are taken in."""
    return InspectRules(max_pixels=settings.max_pixels)


def mask_network(settings: Settings) -> Path | None:
    """Return the file of the mask network of `inflate`."""
    if settings.inflate_saliency_model and importlib.util.find_spec("onnxruntime") is None:
        raise SettingInvalid(
            f"SAFELIGHT_INFLATE_SALIENCY_MODEL needs the extra `onnx`: {how_to_install('onnx')}"
        )
    return settings.inflate_saliency_model


def limits(settings: Settings) -> RequestLimits:
    """Return how large requests may be."""
    return RequestLimits(
        body_bytes=settings.max_body_bytes,
        file_bytes=settings.max_file_bytes,
        upload_bytes=settings.max_upload_bytes,
        batch_files=settings.max_batch_files,
        batch_urls=settings.max_batch_urls,
        wait_s=settings.max_wait_s,
    )


def hosts(settings: Settings) -> Hosts:
    """Return the names that browsers may call this server by."""
    allowed = set(_names(settings.allowed_hosts))
    if not is_loopback(settings.host):
        name = platform.node().lower()
        allowed |= {name, f"{name.partition('.')[0]}.local"}
    origins = _names(settings.cors_origins)
    return Hosts(settings.public_url, frozenset(allowed), settings.host, settings.port, origins)


def open_probes(settings: Settings) -> bool:
    """Return whether everyone may see metrics and the details of readiness."""
    if settings.open_probes == "auto":
        return hosts(settings).is_local
    return settings.open_probes == "yes"


def job_limits(settings: Settings, catalogue: Catalogue) -> ClaimLimits:
    """Return how many jobs may be in flight, over all workers."""
    providers = {
        name: ProviderLimit(limits.in_flight, limits.starts_per_minute)
        for name, limits in catalogue.limits.items()
    }
    return ClaimLimits(settings.account_limit or None, providers)


def slots(settings: Settings, pool: CpuPool, catalogue: Catalogue) -> dict[str, int]:
    """Return how many jobs run at once here, by lane, of the lanes that are served."""
    gpus = catalogue.diffusers
    every = {
        Lane.LOCAL.value: pool.size,
        Lane.GPU.value: settings.gpu_slots or (len(gpus.devices) if gpus else 1),
        Lane.INGEST.value: settings.ingest_slots,
        Lane.REMOTE.value: settings.remote_slots,
    }
    served = _names(settings.lanes) or every
    return {name: every[name] for name in served}


def days(count: float) -> timedelta | None:
    """Return for how long something is kept; None is for good."""
    return timedelta(days=count) if count else None


# --- who is let in ----------------------------------------------------------------------------


async def issuers(
    settings: Settings, database: Database, stack: AsyncExitStack
) -> tuple[Tokens | None, Oidc | None]:
    """Return what takes tokens of issuers, and what signs people in at providers; None without."""
    if not settings.issuers:
        return None, None
    found = read_issuers(settings.issuers, settings.environment)
    client = await stack.enter_async_context(TrustedClient())
    return (
        Tokens(database, found.issuers, client) if found.issuers else None,
        Oidc(found.logins, client) if found.logins else None,
    )


# --- who makes the media, and who is told ----------------------------------------------------


def catalogue(settings: Settings) -> Catalogue:
    """Return the operator's catalogue, an empty one where there is no file."""
    path = catalogue_file(settings)
    if settings.catalogue or path.exists():
        return read_catalogue(path, settings.environment)
    return Catalogue.model_construct()  # its rules take 16 MB, and nothing is to be checked


def catalogue_file(settings: Settings) -> Path:
    """Return the catalogue's path, where a file need not be."""
    return settings.catalogue or settings.data_dir / "catalogue.toml"


def vendors(settings: Settings) -> Vendors:
    """Return those whose key or place is given."""
    return Vendors(_openai(settings), _fal(settings), _replicate(settings), _sagemaker(settings))


def topics(settings: Settings) -> tuple[str, ...]:
    """Return the topics that may be published to."""
    return _names(settings.sns_topics)


def _openai(settings: Settings) -> OpenAiConfig | None:
    key = settings.openai_api_key.get_secret_value()
    if not key:
        return None
    return OpenAiConfig(
        key,
        settings.openai_base_url,
        organization=settings.openai_organization,
        project=settings.openai_project,
        stream=settings.openai_stream,
    )


def _fal(settings: Settings) -> FalConfig | None:
    key = settings.fal_key.get_secret_value()
    if not key:
        return None
    return FalConfig(
        key,
        settings.fal_queue_url,
        settings.fal_keys_url,
        settings.fal_platform_url,
        adopts_within=timedelta(seconds=settings.adopts_within_s),
    )


def _replicate(settings: Settings) -> ReplicateConfig | None:
    token = settings.replicate_api_token.get_secret_value()
    if not token:
        return None
    try:
        return ReplicateConfig(
            token,
            settings.replicate_base_url,
            webhook_secret=settings.replicate_webhook_secret.get_secret_value(),
            adopts_within=timedelta(seconds=settings.adopts_within_s),
        )
    except ValueError as error:
        raise SettingInvalid(f"SAFELIGHT_REPLICATE_WEBHOOK_SECRET: {error}") from None


def _sagemaker(settings: Settings) -> SageMakerPlaces | None:
    if not settings.sagemaker_region:
        return None
    return SageMakerPlaces(
        settings.sagemaker_region,
        _names(settings.sagemaker_endpoints),
        settings.sagemaker_inputs,
        settings.sagemaker_outputs,
        settings.sagemaker_failures,
        _names(settings.sagemaker_topics),
        settings.sagemaker_url,
    )


def _names(text: str) -> tuple[str, ...]:
    """Return what stands between commas."""
    return tuple(filter(None, (name.strip() for name in text.split(","))))
