"""Price formulas: a job's cost by job, output, megapixel, second or token. Pure."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import ConfigDict

from safelight.json_object import JsonObject

_STRICT = ConfigDict(extra="forbid")
_SIZE = re.compile(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", re.ASCII)
_MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """The resources that a provider reports for a job; None if it does not report them."""

    seconds: float | None = None
    text_input_tokens: int | None = None
    image_input_tokens: int | None = None
    output_tokens: int | None = None


NOT_TOLD = Usage()


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount that applies to jobs whose params have all the values of `when`."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    price: float
    when: Mapping[str, Any] = field(default_factory=JsonObject)

    def holds(self, params: Mapping[str, Any]) -> bool:
        return all(params.get(name) == value for name, value in self.when.items())


@dataclass(frozen=True, slots=True)
class Tokens:
    """Prices per million tokens."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    text_input: float = 0
    image_input: float = 0
    output: float = 0


@dataclass(frozen=True, slots=True)
class Price:
    """Price of one job, as a sum, in whole units of the installation's currency.

    `outputs` takes precedence over `output`: its first matching amount is the price of each output,
    and without a match the price is unknown. Each matching amount of `extras` is added once.
    Megapixels are computed from the requested size and rounded up. `Price()` is free.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    job: float = 0
    output: float = 0
    outputs: tuple[Amount, ...] = ()
    megapixel: float = 0
    second: float = 0
    tokens: Tokens | None = None
    extras: tuple[Amount, ...] = ()

    def __post_init__(self) -> None:
        """Raise `ValueError` for an amount out of range."""
        amounts = [self.job, self.output, self.megapixel, self.second]
        amounts += [one.price for one in (*self.outputs, *self.extras)]
        if self.tokens:
            amounts += [self.tokens.text_input, self.tokens.image_input, self.tokens.output]
        if any(not 0 <= amount < _MICROS for amount in amounts):
            raise ValueError(f"A price must be a number from 0 to {_MICROS}.")

    def micros(
        self, params: Mapping[str, Any], outputs: int | None = None, usage: Usage = NOT_TOLD
    ) -> int | None:
        """Return the cost of a job in millionths, or None if it cannot be known.

        Before the job is done, `outputs` defaults to the requested number, and usage is unknown.
        """
        count = int(params.get("n", 1)) if outputs is None else outputs
        each = self._each(params)
        used = self._used(usage)
        if each is None or used is None:
            return None
        extra = sum(one.price for one in self.extras if one.holds(params))
        total = self.job + each * count + extra + used
        # Rounded up, so that the cost is never understated; the inner round drops float noise.
        return math.ceil(round(total * _MICROS, 3))

    def of_use(self, usage: Usage = NOT_TOLD) -> int | None:
        """Return the cost in millionths of failed or canceled work, or None if unknown.

        It is known only if the price depends on usage alone: only the vendor can tell whether it
        charges for a job without a result.
        """
        by_job = self.job or self.output or self.outputs or self.megapixel or self.extras
        used = None if by_job else self._used(usage)
        return None if used is None else math.ceil(round(used * _MICROS, 3))

    def _each(self, params: Mapping[str, Any]) -> float | None:
        """Return the price of one output."""
        each = self.output
        if self.outputs:
            held = next((one.price for one in self.outputs if one.holds(params)), None)
            if held is None:
                return None
            each = held
        if self.megapixel:
            size = _SIZE.fullmatch(str(params.get("size", "")))
            if size is None:
                return None
            each += self.megapixel * math.ceil(int(size[1]) * int(size[2]) / _MICROS)
        return each

    def _used(self, usage: Usage) -> float | None:
        """Return the price of the reported usage."""
        parts: list[tuple[float, float | None]] = [(self.second, usage.seconds)]
        if self.tokens:
            parts += [
                (self.tokens.text_input / _MICROS, usage.text_input_tokens),
                (self.tokens.image_input / _MICROS, usage.image_input_tokens),
                (self.tokens.output / _MICROS, usage.output_tokens),
            ]
        total = 0.0
        for price, amount in parts:
            if price and amount is None:
                return None
            total += price * (amount or 0)
        return total


FREE = Price()
