"""Tells how an import of a list went: in a few lines, or as one document."""

import shlex
from dataclasses import dataclass

from safelight.cli.failure import Failure
from safelight.cli.imports.outcome import Failed
from safelight.cli.imports.report import Report
from safelight.cli.imports.tally import Tally, per_second, say_codes
from safelight.cli.listing import duration
from safelight.cli.show import Screen


@dataclass(frozen=True, slots=True)
class Summary:
    """Totals at the end of a command, including earlier runs on the same list."""

    name: str
    tally: Tally
    report: Report
    now: float
    shown: tuple[Failed, ...] = ()

    def document(self) -> dict[str, object]:
        """Return it for a program."""
        tally = self.tally
        return {
            "list": self.name,
            "total": max(tally.sent, tally.ended),
            "imported": tally.succeeded,
            "failed": tally.failed,
            "unfinished": self._unfinished,
            "codes": dict(tally.codes.most_common()),
            "failures": str(self.report.path) if self.report.length else None,
            "seconds": round(self._seconds, 3),
            "per_second": round(self._rate, 3),
        }

    def tell(self, screen: Screen) -> None:
        """Tell it to a person."""
        tally = self.tally
        pace = f" in {duration(self._seconds)}"
        pace += f" ({per_second(self._rate)})" if self._rate else ""
        if tally.counts_sent:
            screen.result(f"{tally.sent:,} sent{pace}")
            screen.note("Run it again without --no-wait to see how they end.")
            return
        screen.result(f"{tally.succeeded:,} of {tally.ended:,} imported{pace}")
        if not tally.failed:
            return
        for failed in self.shown:
            screen.note(failed.say(self.name))
        screen.note(f"Failed: {say_codes(tally.codes)}.")
        path = shlex.quote(str(self.report.path))
        screen.note(f"All that failed is in {path}; try it again with: safelight import {path}")

    def fail_unless_all_succeeded(self) -> None:
        """Raise what ends the command with the right exit code."""
        if self.tally.failed:
            ended = self.tally.ended
            raise Failure(f"{self.tally.failed:,} of {ended:,} did not succeed.")

    @property
    def _unfinished(self) -> int:
        return max(self.tally.sent - self.tally.ended, 0)

    @property
    def _seconds(self) -> float:
        return max(self.now - self.tally.began, 0.0)

    @property
    def _rate(self) -> float:
        """How many this command did in a second; what takes no time has no rate."""
        done = self.tally.done - self.tally.before
        return done / self._seconds if done and self._seconds else 0.0
