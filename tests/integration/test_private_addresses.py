"""Signed URLs of private files expire, for every way to ask and every signer."""

import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx2
import pytest

from safelight.accounts import signing
from safelight.accounts.scopes import OWNER_SCOPES
from safelight.assets.errors import SignatureInvalid
from safelight.media.pictures.spec import Format, Spec
from tests.household import Household

HOUR_S = 3600
PAST, SOON = int(time.time()) - 10, int(time.time()) + 10 * HOUR_S
SMALL = Spec(w=10, format=Format.PNG)


@pytest.fixture
async def anybody(home: Household) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody without a key: the address alone is the credential."""
    async with home.client(home.owner) as client:
        yield client


async def owner_key(home: Household) -> str:
    """The key that an account's own servers sign pictures with."""
    return await home.safelight.services.files.signatures.key_of(home.owner)


async def signed(home: Household, query: str) -> str:
    """Return an address that the owner has signed, whatever it says."""
    text = f"{home.things['key private']}?{query}"
    return f"/files/{text}&sig={signing.sign(await owner_key(home), text)}"


async def test_variant_when_of_a_private_picture_is_served_until_its_end_and_not_beyond(
    home: Household, anybody: httpx2.AsyncClient
) -> None:
    async with home.client(home.owner, *OWNER_SCOPES) as owner:
        asset = home.things["asset private"]
        told = await owner.get(f"/v1/assets/{asset}/renditions?w=10&format=png")
    parts = urlsplit(told.json()["url"])
    good = f"{parts.path}?{parts.query}"
    (until,) = [part for part in parts.query.split("&") if part.startswith("until=")]
    left = int(until.removeprefix("until=")) - time.time()
    assert HOUR_S <= left <= 1.25 * HOUR_S
    got = await anybody.get(good)
    assert got.status_code == 200
    assert got.headers["cache-control"].startswith("private")
    # It is made by now, and all the same nobody gets it by an address that is another.
    for bad in (
        good.replace(f"&{until}", ""),
        good.replace(until, f"until={SOON}"),
        good.replace(until, f"until={PAST}"),
        good.replace("w=10", "w=11"),
        good.partition("&sig=")[0],
    ):
        for method in ("GET", "HEAD"):
            refused = await anybody.request(method, bad)
            assert refused.status_code == 403, bad


@pytest.mark.parametrize(
    "query",
    ["format=png&w=10", f"format=png&w=10&until={PAST}", f"w=10&until={PAST}", "w=10"],
    ids=["endless", "past", "past and without a format", "endless and without a format"],
)
async def test_variant_when_its_owner_signs_one_without_an_end_or_past_it_is_refused(
    home: Household, anybody: httpx2.AsyncClient, query: str
) -> None:
    address = await signed(home, query)
    for method in ("GET", "HEAD"):
        assert (await anybody.request(method, address)).status_code == 403


async def test_variant_when_its_owner_signs_one_that_ends_is_served(
    home: Household, anybody: httpx2.AsyncClient
) -> None:
    """Or the refusals above would say nothing."""
    answer = await anybody.get(await signed(home, f"format=png&w=10&until={SOON}"))
    assert answer.status_code == 200


async def test_promise_when_the_picture_is_private_names_its_end_whatever_is_asked(
    home: Household,
) -> None:
    services = home.safelight.services
    key = home.things["key private"]
    asset = await services.assets.get(home.owner, home.things["asset private"])
    for asked in (SMALL, Spec(), Spec(w=10, h=10), Spec(format=Format.AVIF)):
        promise = await services.files.variants.promise(asset, asked, until=PAST)
        assert f"until={PAST}" in promise.path
        signature = promise.path.rpartition("sig=")[2]
        for until in (PAST, None, SOON):
            with pytest.raises(SignatureInvalid):
                await services.files.variants.open(key, asked, signature, "", until=until)


async def test_file_when_private_and_past_its_end_is_refused(
    home: Household, anybody: httpx2.AsyncClient
) -> None:
    key = home.things["key private"]
    secret = await home.safelight.services.files.signatures.files_key()

    def address(until: int, shown: int | None = None) -> str:
        named = f"{key}?account={home.owner}"
        signature = signing.sign(secret, f"{named}&until={until}")
        return f"/files/{named}&until={shown or until}&sig={signature}"

    assert (await anybody.get(address(SOON))).status_code == 200
    for bad in (address(PAST), address(PAST, SOON), address(SOON, SOON + 1)):
        for tail in ("", "&download=1"):
            for method in ("GET", "HEAD"):
                assert (await anybody.request(method, bad + tail)).status_code == 403
