"""Job costs by the model's price, before and after; an unknown cost is None, never 0."""

import pytest

from safelight.providers.price import FREE, Amount, Price, Tokens, Usage

BY_QUALITY = Price(
    outputs=(
        Amount(0.011, {"size": "1024x1024", "quality": "low"}),
        Amount(0.042, {"quality": "medium"}),
    )
)


@pytest.mark.parametrize(
    ("price", "params", "micros"),
    [
        (FREE, {}, 0),
        (Price(job=0.25), {"n": 4}, 250_000),
        (Price(output=0.04), {}, 40_000),
        (Price(output=0.04), {"n": 3}, 120_000),
        (Price(job=0.01, output=0.003), {"n": 2}, 16_000),
        (BY_QUALITY, {"size": "1024x1024", "quality": "low", "n": 2}, 22_000),
        (BY_QUALITY, {"size": "1536x1024", "quality": "medium"}, 42_000),
        (BY_QUALITY, {"size": "1536x1024", "quality": "low"}, None),
        (BY_QUALITY, {}, None),
        (Price(megapixel=0.012), {"size": "1000x1000"}, 12_000),
        (Price(megapixel=0.012), {"size": "1024x1024"}, 24_000),
        (Price(megapixel=0.012), {"size": "auto"}, None),
        (Price(megapixel=0.012), {}, None),
        (Price(job=0.2, extras=(Amount(0.05, {"quad": True}),)), {"quad": True}, 250_000),
        (Price(job=0.2, extras=(Amount(0.05, {"quad": True}),)), {"quad": False}, 200_000),
        (Price(second=0.000225), {}, None),
        (Price(tokens=Tokens(output=30)), {}, None),
    ],
)
def test_micros_when_nothing_is_done_yet_are_those_of_the_params(
    price: Price, params: dict[str, object], micros: int | None
) -> None:
    assert price.micros(params) == micros


def test_micros_when_it_is_done_count_what_came_and_not_what_was_asked_for() -> None:
    assert Price(output=0.04).micros({"n": 4}, outputs=3) == 120_000


def test_micros_when_seconds_are_charged_are_rounded_up() -> None:
    assert Price(second=0.000225).micros({}, 1, Usage(seconds=1.0001)) == 226
    assert Price(second=0.000225).micros({}, 1, Usage(seconds=1)) == 225


def test_micros_when_a_free_kind_of_token_is_not_told_are_known_all_the_same() -> None:
    price = Price(tokens=Tokens(output=30))
    assert price.micros({}, 1, Usage(output_tokens=1000)) == 30_000
    assert price.micros({}, 1, Usage(text_input_tokens=5)) is None


@pytest.mark.parametrize("amount", [-0.01, float("nan"), float("inf"), 1_000_000])
def test_price_when_an_amount_is_none_is_refused(amount: float) -> None:
    with pytest.raises(ValueError, match="A price must be"):
        Price(output=amount)
    with pytest.raises(ValueError, match="A price must be"):
        Price(extras=(Amount(amount),))
