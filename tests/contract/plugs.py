"""Every plug, opened as the product opens it; those of vendors beside a stub of the vendor."""

import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from safelight.cpu import CpuPool
from safelight.fetch import Fetcher, FetchPolicy
from safelight.providers.local.fake import FakeProvider
from safelight.providers.local.inflate import InflateProvider
from safelight.providers.local.link import LinkProvider
from safelight.providers.local.sketch import SketchProvider
from safelight.providers.provider import Kind, Lane, Model, Provider
from safelight.providers.remote.fal import FalConfig, FalProvider
from safelight.providers.remote.http_service import HttpProvider, HttpService, Later
from safelight.providers.remote.openai import OpenAiConfig, OpenAiProvider
from safelight.providers.remote.replicate import ReplicateConfig, ReplicateProvider
from safelight.providers.remote.sagemaker import S3Place, SageMakerConfig
from safelight.providers.remote.sagemaker.credentials import Keys, StaticCredentials
from safelight.providers.remote.sagemaker.provider import SageMakerProvider
from tests import pictures
from tests.stubs.fal import KEY, FalStub
from tests.stubs.http_service import ServiceStub
from tests.stubs.openai import OpenAiStub
from tests.stubs.replicate import ReplicateStub
from tests.stubs.sagemaker import SageMaker
from tests.stubs.vendor import Call, Reply, Vendor

PICTURE = pictures.picture("png")
CALL_S = 1.0


@dataclass(frozen=True)
class Bench:
    """A plug to try. `again` opens it a second time, as another process would."""

    plug: Provider
    vendor: Vendor | None = None
    pays: str = ""  # the path of the call that costs
    again: Callable[[], AbstractAsyncContextManager[Provider]] | None = None


@dataclass(frozen=True)
class Far(Bench):
    """A plug whose orders can be left to wait: `defer` has them wait, `finish` ends one.

    `looks` and `cancels` are the calls that a check and a cancel are made of. `lag` has what is
    canceled go on for a while.
    """

    looks: tuple[str, ...] = ()
    cancels: tuple[str, str] = ("", "")
    defer: Callable[[], None] = lambda: None
    finish: Callable[[str], object] = lambda _: None
    lag: Callable[[], None] = lambda: None

    @property
    def books(self) -> Vendor:
        assert self.vendor is not None
        return self.vendor


Opened = AbstractAsyncContextManager[Bench]
FarOpened = AbstractAsyncContextManager[Far]


@asynccontextmanager
async def sketch(_: Path) -> AsyncIterator[Bench]:
    pool = CpuPool(1)
    yield Bench(SketchProvider(pool))
    pool.close()


@asynccontextmanager
async def inflate(_: Path) -> AsyncIterator[Bench]:
    pool = CpuPool(1)
    yield Bench(InflateProvider(pool))
    pool.close()


@asynccontextmanager
async def link(_: Path) -> AsyncIterator[Bench]:
    async with Fetcher(FetchPolicy()) as fetcher:
        yield Bench(LinkProvider(fetcher))


@asynccontextmanager
async def fake(folder: Path) -> AsyncIterator[Bench]:
    yield Bench(FakeProvider(folder / "ledger.jsonl"))


@asynccontextmanager
async def openai(_: Path) -> AsyncIterator[Far]:
    async with OpenAiStub(PICTURE).running() as stub, _fetcher(stub) as fetcher:
        config = OpenAiConfig("sk-test", stub.base_url, call_s=CALL_S)

        def defer() -> None:
            stub.streams, stub.gives_addresses = False, True

        async with _far(stub, ".*/images/.*", lambda: OpenAiProvider(config, fetcher)) as bench:
            yield replace(bench, looks=("/made.png",), defer=defer)


@asynccontextmanager
async def fal(_: Path) -> AsyncIterator[Far]:
    async with FalStub(PICTURE).running() as stub, _fetcher(stub) as fetcher:
        config = FalConfig(KEY, stub.url, stub.keys_url, stub.platform_url, call_s=CALL_S)
        async with _far(stub, "/fal-ai/.*", lambda: FalProvider(config, fetcher)) as bench:
            yield replace(
                bench,
                looks=(".*/status", ".*/requests/[^/]+", "/files/.*"),
                cancels=("PUT", ".*/cancel"),
                finish=lambda ticket: stub.finish(ticket.rpartition(":")[2]),
                lag=lambda: setattr(stub, "cancel_lag", 2),
            )


@asynccontextmanager
async def replicate(_: Path) -> AsyncIterator[Far]:
    async with ReplicateStub(PICTURE).running() as stub, _fetcher(stub) as fetcher:
        config = ReplicateConfig("r8_test", stub.base_url, call_s=CALL_S)
        async with _far(
            stub, ".*/predictions", lambda: ReplicateProvider(config, fetcher)
        ) as bench:
            yield replace(
                bench,
                looks=("/v1/predictions/.*", "/made/.*"),
                cancels=("POST", ".*/cancel"),
                finish=stub.finish,
                lag=lambda: setattr(stub, "cancel_lag", 2),
            )


@asynccontextmanager
async def http(_: Path) -> AsyncIterator[Far]:
    async with ServiceStub(PICTURE).running() as stub, _fetcher(stub) as fetcher:
        service = HttpService(
            "house",
            f"{stub.url}/jobs",
            (_HOUSE,),
            body={"prompt": "$prompt"},
            media="images.*.url",
            later=Later(
                "id",
                f"{stub.url}/jobs/$ticket",
                status="state",
                cancel_url=f"{stub.url}/jobs/$ticket",
                find_url=f"{stub.url}/orders/$attempt",
            ),
            timeout_s=CALL_S,
        )
        async with _far(stub, "/jobs", lambda: HttpProvider(service, fetcher)) as bench:
            yield replace(
                bench,
                looks=("/jobs/.*", "/files/.*"),
                cancels=("DELETE", "/jobs/.*"),
                finish=stub.finish,
                lag=lambda: setattr(stub, "cancel_lag", 2),
            )


@asynccontextmanager
async def sagemaker(_: Path) -> AsyncIterator[Far]:
    keys = StaticCredentials(Keys("AKIDTEST", "not secret", ""))
    # Nothing is fetched, so that the system's roots need not be read.
    fetcher = Fetcher(FetchPolicy(), tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    async with Prompt().running() as stub, fetcher:
        config = SageMakerConfig(
            region="eu-central-1",
            inputs=S3Place.read("s3://inputs/orders"),
            outputs=S3Place.read("s3://outputs/answers"),
            failures=S3Place.read("s3://outputs/failures"),
            runtime_url=stub.url,
            control_url=stub.url,
            s3_url=stub.url,
            call_s=CALL_S,
            transfer_s=CALL_S,
        )
        async with _far(
            stub, "/endpoints/.*", lambda: SageMakerProvider(config, keys, fetcher)
        ) as bench:
            yield replace(
                bench,
                looks=("/outputs/answers/.*",),
                cancels=("POST", "/inputs"),
                defer=lambda: setattr(stub, "is_prompt", False),
                finish=lambda ticket: stub.finish(json.loads(ticket)["attempt"], PICTURE),
            )


class Prompt(SageMaker):
    """An endpoint that answers at once, unless it is told otherwise."""

    is_prompt = True

    def _invoke(self, call: Call) -> Reply:
        if self.is_prompt:
            self.finish(call.headers["x-amzn-sagemaker-inference-id"], PICTURE)
        return super()._invoke(call)


NEAR: Mapping[str, Callable[[Path], Opened]] = {
    "sketch": sketch,
    "inflate": inflate,
    "link": link,
    "fake": fake,
}
FAR: Mapping[str, Callable[[Path], FarOpened]] = {
    "openai": openai,
    "fal": fal,
    "replicate": replicate,
    "sagemaker": sagemaker,
    "http": http,
}

_HOUSE = Model(
    id="house/draw",
    provider="house",
    title="House",
    description="Our own service.",
    kinds=frozenset({Kind.TEXT_TO_IMAGE}),
    lane=Lane.REMOTE,
    params_schema={"type": "object", "properties": {}, "additionalProperties": False},
    timeout=timedelta(minutes=10),
)


@asynccontextmanager
async def _far(
    vendor: Vendor, pays: str, make: Callable[[], AbstractAsyncContextManager[Provider]]
) -> AsyncIterator[Far]:
    async with make() as plug:
        yield Far(plug, vendor, pays, make)


@asynccontextmanager
async def _fetcher(vendor: Vendor) -> AsyncIterator[Fetcher]:
    policy = FetchPolicy(allow_private=True, ports=frozenset({vendor.port}), total_s=2)
    async with Fetcher(policy) as opened:
        yield opened
