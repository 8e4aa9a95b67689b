"""Counts how an import goes, and says so in a few words. Pure."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from safelight.cli.imports.journal import Noted
from safelight.cli.listing import duration

_WINDOW_S = 60.0
_LEAST_S = 1.0
_MOST_SAMPLES = 600
_MOST_CODES = 5


@dataclass(slots=True)
class Tally:
    """How many entries ended, of those chunks that ended and of those that are followed."""

    began: float
    total: int | None = None
    succeeded: int = 0
    codes: Counter[str] = field(default_factory=Counter[str])
    sent: int = 0
    before: int = 0  # what had ended when this command began
    counts_sent: bool = False  # for a command that does not wait for the end
    _followed: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    _samples: deque[tuple[float, int]] = field(
        default_factory=lambda: deque[tuple[float, int]](maxlen=_MOST_SAMPLES)
    )

    @property
    def failed(self) -> int:
        """How many failed."""
        return self.codes.total() + sum(failed for _, failed in self._followed.values())

    @property
    def ended(self) -> int:
        """How many ended, one way or the other."""
        followed = sum(succeeded for succeeded, _ in self._followed.values())
        return self.succeeded + followed + self.failed

    @property
    def done(self) -> int:
        """How many this command need not think of any more."""
        return self.sent if self.counts_sent else self.ended

    def resume(self, chunks: Iterable[Noted]) -> None:
        """Begin with what an earlier command did."""
        for number, noted in enumerate(chunks):
            if noted.batch_id or noted.outcome:
                self.sent += noted.size
            if noted.outcome:
                self.finish(number, noted.outcome.succeeded, noted.outcome.codes)
        self.before = self.done

    def send(self, entries: int) -> None:
        """Take that so many were sent."""
        self.sent += entries

    def follow(self, chunk: int, succeeded: int, failed: int) -> None:
        """Take what is known of a chunk that has not ended."""
        self._followed[chunk] = (succeeded, failed)

    def finish(self, chunk: int, succeeded: int, codes: Mapping[str, int]) -> None:
        """Take how a chunk ended."""
        self._followed.pop(chunk, None)
        self.succeeded += succeeded
        self.codes.update(codes)

    def rate(self, now: float) -> float:
        """Return how many were done a second lately."""
        self._samples.append((now, self.done))
        while len(self._samples) > 1 and self._samples[0][0] < now - _WINDOW_S:
            self._samples.popleft()
        since, then = self._samples[0]
        return (self.done - then) / (now - since) if now - since >= _LEAST_S else 0.0

    def describe(self, now: float) -> str:
        """Return how it goes: so many of so many, how fast, how many failed, how long it takes."""
        of = f" of {self.total:,}" if self.total is not None else ""
        parts = [f"{self.done:,}{of}"]
        rate = self.rate(now)
        if rate:
            parts.append(per_second(rate))
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        if rate and self.total is not None and self.total > self.done:
            parts.append(f"{duration((self.total - self.done) / rate)} left")
        return ", ".join(parts)


def per_second(rate: float) -> str:
    """Return a rate in words."""
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"  # noqa: PLR2004


def say_codes(codes: Mapping[str, int]) -> str:
    """Return the most frequent reasons, each with its count."""
    common = Counter(codes).most_common()
    shown = ", ".join(f"{count:,} {code}" for code, count in common[:_MOST_CODES])
    rest = sum(count for _, count in common[_MOST_CODES:])
    return f"{shown}, {rest:,} others" if rest else shown
