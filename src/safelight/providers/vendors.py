"""Opens the plugs of the vendors that an operator has named, and closes them at the end."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from safelight.fetch import Fetcher
from safelight.providers.catalogue import Catalogue, VendorOffer, object_of
from safelight.providers.http_service import HttpProvider
from safelight.providers.openai import MODELS as OPENAI_MODELS
from safelight.providers.openai import OpenAiConfig, OpenAiProvider
from safelight.providers.openai import image_model as openai_model
from safelight.providers.provider import Model, Provider
from safelight.providers.sagemaker import Place, SageMakerConfig, image_model, open_sagemaker


@dataclass(frozen=True, slots=True)
class OpenAiKey:
    """An account at OpenAI, or at a server of its protocol."""

    key: str
    base_url: str


@dataclass(frozen=True, slots=True)
class SageMakerPlaces:
    """Endpoints by name, and the three places in S3 that they share, as `s3://BUCKET/FOLDER`."""

    region: str
    endpoints: tuple[str, ...]
    inputs: str
    outputs: str
    failures: str
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Vendors:
    """Who is to be asked; None is nobody."""

    openai: OpenAiKey | None = None
    sagemaker: SageMakerPlaces | None = None


async def open_vendors(
    vendors: Vendors, catalogue: Catalogue, fetcher: Fetcher, stack: AsyncExitStack
) -> list[Provider]:
    """Return a plug for each, in the order of this page; `stack` closes them."""
    opened: list[Provider] = []
    if vendors.openai:
        config = OpenAiConfig(vendors.openai.key, base_url=vendors.openai.base_url)
        models = _with(OPENAI_MODELS, (_openai_model(offer) for offer in catalogue.openai))
        opened.append(await stack.enter_async_context(OpenAiProvider(config, fetcher, models)))
    if vendors.sagemaker:
        plug = open_sagemaker(
            _sagemaker(vendors.sagemaker),
            fetcher,
            tuple(image_model(name) for name in vendors.sagemaker.endpoints),
        )
        opened.append(await stack.enter_async_context(plug))
    own = [HttpProvider(service, fetcher) for service in catalogue.http]
    return [*opened, *[await stack.enter_async_context(plug) for plug in own]]


def _with(usual: Iterable[Model], more: Iterable[Model]) -> tuple[Model, ...]:
    """Return the models that are known anyway and those of the catalogue, which go before them."""
    return tuple({model.id: model for model in (*usual, *more)}.values())


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
        Place.read(places.inputs),
        Place.read(places.outputs),
        Place.read(places.failures),
        frozenset(places.topics),
    )
