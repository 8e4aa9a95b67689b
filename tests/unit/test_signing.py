"""Signatures of addresses."""

import base64
import hashlib
import hmac
import re

import pytest

from safelight.accounts.signing import SIGNATURE_LENGTH, is_signed, sign, signing_key

KEY = signing_key(bytes(32), "acc_1")
TEXT = "images/job_1/abc.jpg?fit=cover&h=300&w=400"


def test_signing_key_when_made_again_then_is_the_same_and_no_other_accounts() -> None:
    assert signing_key(bytes(32), "acc_1") == KEY
    assert re.fullmatch("[0-9a-f]{64}", KEY)
    assert signing_key(bytes(32), "acc_2") != KEY
    assert signing_key(b"\1" * 32, "acc_1") != KEY


def test_sign_when_computed_as_the_page_says_then_is_the_same() -> None:
    digest = hmac.new(KEY.encode(), TEXT.encode(), hashlib.sha256).digest()
    assert sign(KEY, TEXT) == base64.urlsafe_b64encode(digest).decode()[:22]


def test_is_signed_when_it_is_then_says_so() -> None:
    assert is_signed(KEY, TEXT, sign(KEY, TEXT))


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "A" * SIGNATURE_LENGTH,
        sign(KEY, TEXT)[:-1],
        sign(KEY, TEXT) + "A",
        sign(KEY, TEXT).swapcase(),
        sign(KEY, TEXT + " "),
        sign(signing_key(bytes(32), "acc_2"), TEXT),
        "ä" * SIGNATURE_LENGTH,
        "x" * 10_000,
    ],
)
def test_is_signed_when_it_is_another_then_says_no(signature: str) -> None:
    assert not is_signed(KEY, TEXT, signature)
