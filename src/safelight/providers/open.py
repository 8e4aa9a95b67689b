"""Opens the provider plugs that the settings and the catalogue name."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeVar

from safelight.fetch import Fetcher
from safelight.providers.catalogue import Catalogue, VendorOffer, object_of
from safelight.providers.local.diffusers import DiffusersProvider
from safelight.providers.provider import Model, Provider
from safelight.providers.remote.fal import MODELS as FAL_MODELS
from safelight.providers.remote.fal import FalConfig, FalProvider
from safelight.providers.remote.http_service import HttpProvider
from safelight.providers.remote.openai import MODELS as OPENAI_MODELS
from safelight.providers.remote.openai import OpenAiConfig, OpenAiProvider
from safelight.providers.remote.openai import image_model as openai_model
from safelight.providers.remote.replicate import MODELS as REPLICATE_MODELS
from safelight.providers.remote.replicate import ReplicateConfig, ReplicateProvider, learn
from safelight.providers.remote.sagemaker import (
    S3Place,
    SageMakerConfig,
    image_model,
    open_sagemaker,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SageMakerPlaces:
    """Endpoint names, and the three S3 locations they share, as `s3://BUCKET/FOLDER`.

    `url` replaces the AWS endpoints, for a stub server.
    """

    region: str
    endpoints: tuple[str, ...]
    inputs: str
    outputs: str
    failures: str
    topics: tuple[str, ...]
    url: str = ""


@dataclass(frozen=True, slots=True)
class Vendors:
    """The configured vendors; None is a vendor that is not used."""

    openai: OpenAiConfig | None = None
    fal: FalConfig | None = None
    replicate: ReplicateConfig | None = None
    sagemaker: SageMakerPlaces | None = None


async def open_vendors(
    vendors: Vendors, catalogue: Catalogue, fetcher: Fetcher, stack: AsyncExitStack
) -> list[Provider]:
    """Return one plug per vendor, in the order below; `stack` closes them."""
    opened: list[Provider] = []
    if vendors.openai:
        known = [*OPENAI_MODELS, *map(_openai_model, catalogue.openai)]
        plug = OpenAiProvider(vendors.openai, fetcher, _last({each.id: each for each in known}))
        opened.append(await stack.enter_async_context(plug))
    if vendors.fal:
        listed = [*FAL_MODELS, *catalogue.fal]
        plug = FalProvider(vendors.fal, fetcher, _last({each.offer.id: each for each in listed}))
        opened.append(await stack.enter_async_context(plug))
    if vendors.replicate:
        named = [*REPLICATE_MODELS, *catalogue.replicate]
        told = await learn(vendors.replicate, _last({each.vendor_id: each for each in named}))
        plug = ReplicateProvider(vendors.replicate, fetcher, told)
        opened.append(await stack.enter_async_context(plug))
    if vendors.sagemaker:
        plug = open_sagemaker(
            _sagemaker(vendors.sagemaker),
            fetcher,
            tuple(image_model(name) for name in vendors.sagemaker.endpoints),
        )
        opened.append(await stack.enter_async_context(plug))
    if catalogue.diffusers:
        plug = DiffusersProvider(catalogue.diffusers)
        opened.append(await stack.enter_async_context(plug))
    own = [HttpProvider(service, fetcher) for service in catalogue.http]
    return [*opened, *[await stack.enter_async_context(plug) for plug in own]]


def _last(known: Mapping[str, T]) -> tuple[T, ...]:
    """Return the values of a mapping; of two models with one name, the catalogue's wins."""
    return tuple(known.values())


def _openai_model(offer: VendorOffer) -> Model:
    return openai_model(
        offer.vendor_id,
        offer.title or offer.vendor_id,
        offer.description,
        params_schema=None if offer.params is None else object_of(offer.params),
        timeout=offer.timeout_s,
    )


def _sagemaker(places: SageMakerPlaces) -> SageMakerConfig:
    return SageMakerConfig(
        places.region,
        S3Place.read(places.inputs),
        S3Place.read(places.outputs),
        S3Place.read(places.failures),
        frozenset(places.topics),
        runtime_url=places.url,
        control_url=places.url,
        s3_url=places.url,
    )
