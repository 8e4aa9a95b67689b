"""Addresses of what is kept: for good where it is public, else signed and for a while."""

import time
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from safelight.accounts.account import Visibility
from safelight.assets.keys import (
    cache_control_of,
    is_public,
    media_type_of,
    moved_key,
    shown_key,
    visibility_of,
)
from safelight.assets.urls import Links

PUBLIC = "images/job_1/abc.png"
PRIVATE = "private/images/job_1/abc.png"
ANN = "acc_1"
LINKS = Links("https://api.example", "https://cdn.example/x", "a secret", timedelta(hours=1))


def test_link_when_public_is_the_key_behind_the_cdn() -> None:
    assert LINKS.of(PUBLIC, ANN) == "https://cdn.example/x/images/job_1/abc.png"
    assert (
        LINKS.download(PUBLIC, ANN) == "https://api.example/files/images/job_1/abc.png?download=1"
    )


def test_link_when_private_is_signed_for_that_key_and_time() -> None:
    address = urlsplit(LINKS.of(PRIVATE, ANN))
    asked = parse_qs(address.query)
    until, signature = int(asked["until"][0]), asked["sig"][0]
    assert (address.netloc, address.path) == ("api.example", f"/files/{PRIVATE}")
    assert 3600 <= until - time.time() <= 3600 * 1.25
    assert LINKS.is_signed(PRIVATE, ANN, until, signature)
    assert asked["account"] == [ANN]
    assert not LINKS.is_signed(PRIVATE, ANN, until + 1, signature)
    assert not LINKS.is_signed(PRIVATE, "acc_2", until, signature)
    assert not LINKS.is_signed(PRIVATE.replace("abc", "abd"), ANN, until, signature)
    another = Links(LINKS.base_url, LINKS.files_url, "another secret", LINKS.lifetime)
    assert not another.is_signed(PRIVATE, ANN, until, signature)


def test_link_when_its_time_is_over_is_not_signed() -> None:
    ended = Links("https://api.example", "https://api.example/files", "s", timedelta(seconds=-60))
    asked = parse_qs(urlsplit(ended.of(PRIVATE, ANN)).query)
    assert not ended.is_signed(PRIVATE, ANN, int(asked["until"][0]), asked["sig"][0])


def test_link_when_asked_for_again_soon_is_the_same() -> None:
    found = {LINKS.of(PRIVATE, ANN) for _ in range(20)}
    assert len(found) <= 2, "a step may end between two"


def test_key_when_moved_says_who_sees_it_and_keeps_the_rest() -> None:
    hidden = moved_key(PUBLIC, Visibility.PRIVATE)
    shown = moved_key(hidden, Visibility.PUBLIC)
    assert hidden.startswith("private/images/job_1/")
    assert shown.startswith("images/job_1/")
    assert (
        len({PUBLIC.rpartition("/")[2], hidden.rpartition("/")[2], shown.rpartition("/")[2]}) == 3
    )
    assert [visibility_of(key) for key in (hidden, shown)] == ["private", "public"]
    assert media_type_of(hidden) == media_type_of(shown) == "image/png"


def test_key_when_no_asset_shows_it_has_no_media_type_and_is_nobodys() -> None:
    for key in ("originals/acc_1/abc", "renditions/ast_1/abc.png", "private/originals/x.png", ""):
        assert media_type_of(key) is None
        assert not is_public(key)
        assert cache_control_of(key).startswith("private")


def test_key_when_made_is_never_the_same() -> None:
    made = {shown_key("images", "job_1", "image/png", Visibility.PUBLIC) for _ in range(100)}
    assert len(made) == 100
