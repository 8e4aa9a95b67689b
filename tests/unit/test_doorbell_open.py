"""The doorbell that a URL opens, and the error of one that cannot be opened."""

import sys

import pytest

from safelight.doorbell.memory import MemoryDoorbell
from safelight.doorbell.open import open_doorbell
from safelight.errors import SettingInvalid


@pytest.mark.parametrize("url", ["", "memory://"])
async def test_open_when_no_server_is_named_rings_in_this_process(url: str) -> None:
    async with open_doorbell(url) as doorbell:
        assert isinstance(doorbell, MemoryDoorbell)
        await doorbell.check()


@pytest.mark.parametrize("url", ["kafka://user:secret@host", "nonsense", "sqs://eu-central-1"])
async def test_open_when_the_url_is_of_no_known_kind_says_what_is_without_secrets(
    url: str,
) -> None:
    with pytest.raises(SettingInvalid, match=r"SAFELIGHT_DOORBELL_URL: .* must") as caught:
        async with open_doorbell(url):
            pass
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "library", "extra"),
    [
        ("valkey://127.0.0.1", "redis", "redis"),
        ("tls://127.0.0.1", "nats", "nats"),
        ("sqs://eu-central-1/test", "aiobotocore", "sqs"),
    ],
)
async def test_open_when_the_library_is_missing_names_the_extra(
    url: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(sys.modules):
        if name == library or name.startswith(f"{library}."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, f"safelight.doorbell.{extra}", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SettingInvalid, match=rf"SAFELIGHT_DOORBELL_URL.*pip install.*\[{extra}\]"):
        async with open_doorbell(url):
            pass
