"""Looks after the files that are kept: compares them with the rows, writes a bucket's rules."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict

from safelight.app import Offline, open_offline
from safelight.assets.keys import ORIGINALS
from safelight.assets.usage import used
from safelight.cli.environment import read_settings
from safelight.cli.failure import BadUse, Failure
from safelight.cli.interrupt import interruptible
from safelight.cli.show import Screen
from safelight.configured import storage_place
from safelight.errors import SafelightError
from safelight.fsck import Finding, Remedy, Report, examine, mend
from safelight.storage.lifecycle import lifecycle_of

_FOUND = "left over"


_DAMAGED = "damaged"
_WHAT_TO_DO = (
    "A lost or damaged file comes back from a backup: extract objects/KEY from its TAR and store "
    "it under the same key. Without one, delete the asset: DELETE /v1/assets/ID."
)


async def check(*, repair: bool, deep: bool, as_json: bool) -> None:
    """Report inconsistencies, line by line, and repair them if told to.

    Raises `Failure` if some are left.
    """
    screen = Screen()
    counts: Counter[str] = Counter()
    try:
        with interruptible(lambda: _so_far(counts)):
            async with (
                open_offline(read_settings()) as kept,
                examine(kept.database, kept.storage, kept.scratch, deep=deep) as report,
            ):
                async for finding, word in _all(kept, report, repair=repair):
                    counts[word] += 1
                    _show(screen, finding, word, as_json=as_json)
                _sum_up(screen, report, deep=deep)
    except SafelightError as error:
        raise Failure(error.detail) from None
    if not counts:
        screen.note(_all_is_well(report, deep=deep))
        return
    told = ", ".join(f"{count} {word}" for word, count in counts.items())
    bad = counts[Remedy.NONE.value] + counts[_DAMAGED]
    if bad and repair:
        raise Failure(f"{told}. {_WHAT_TO_DO}")
    if bad or counts[_FOUND]:
        raise Failure(f"{told}; `--repair` rebuilds, forgets or deletes what it can.")
    screen.note(told)


def _so_far(counts: Counter[str]) -> str:
    told = ", ".join(f"{count} {word}" for word, count in counts.items()) or "nothing found"
    return f"The check is not complete; so far: {told}. Repairs are kept."


def _sum_up(screen: Screen, report: Report, *, deep: bool) -> None:
    screen.note(f"{report.objects} files with {report.bytes} bytes were compared.")
    if deep and report.unsummed:
        screen.note(
            f"{report.unsummed} files of an earlier version have no checksum: "
            "their bytes were not compared."
        )


def _all_is_well(report: Report, *, deep: bool) -> str:
    text = "nothing is lost" if not deep else "nothing is lost or damaged"
    if report.young:
        return (
            f"So far {text}. {report.young} files of the last hour have no row yet: they are in "
            "work or left over. Check again in an hour."
        )
    return f"All is well: every file is named, and {text}."


async def _all(
    kept: Offline, report: Report, *, repair: bool
) -> AsyncIterator[tuple[Finding, str]]:
    if repair:
        mending = mend(report.findings, kept.database, kept.assets, kept.remaking)
        async for finding, remedy in mending:
            yield finding, _word(finding, remedy) if remedy is Remedy.NONE else remedy.value
        return
    async for finding in report.findings:
        yield finding, _word(finding, Remedy.NONE)


def _word(finding: Finding, remedy: Remedy) -> str:
    if finding.is_damaged:
        return _DAMAGED
    return _FOUND if finding.role is None else remedy.value


def _show(screen: Screen, finding: Finding, word: str, *, as_json: bool) -> None:
    role = finding.role.value if finding.role else None
    if as_json:
        asset = finding.asset_id or None
        screen.document({"key": finding.key, "role": role, "asset_id": asset, "state": word})
    else:
        owner = f"\t{role} of {finding.asset_id}" if role else f"\t{finding.bytes} bytes"
        screen.result(f"{word}\t{finding.key}{owner}")


async def show_usage(*, as_json: bool) -> None:
    """Print how much each account keeps, by kind."""
    screen = Screen()
    async with open_offline(read_settings()) as kept:
        found = await kept.database.read(used)
    if as_json:
        screen.document([asdict(each) for each in found])
        return
    for each in found:
        screen.result(f"{each.account_id}\t{each.what}\t{each.count}\t{each.bytes} bytes")
    screen.note(f"{sum(each.bytes for each in found)} bytes in all.")


async def write_lifecycle(cool_after_days: int | None) -> None:
    """Print the rules for the bucket that the settings name."""
    place = storage_place(read_settings())
    try:
        rules = lifecycle_of(place, originals=ORIGINALS, cool_after_days=cool_after_days)
    except ValueError as error:
        raise BadUse(str(error)) from None
    Screen().document(rules)
