"""Does what an operator says: shows lanes and dead letters, pauses, resumes, redrives many."""

from collections.abc import Mapping, Sequence

from safelight.cli import actions
from safelight.cli.actions import Manner, ask
from safelight.cli.connect import connected, has_server
from safelight.cli.environment import read_settings
from safelight.cli.failure import BadUse, Unreachable
from safelight.cli.listing import age, duration, print_table
from safelight.cli.show import Screen
from safelight.documents import DeadLetter, Lane, Lanes, ProviderLoad, Redriven, Worker

Chosen = Mapping[str, str | int | None]


async def show_lanes(manner: Manner) -> None:
    """Show what stands in each lane and at each provider."""

    def show(screen: Screen, found: Lanes) -> None:
        heads = ("lane", "paused", "ready", "oldest wait", "delayed", "running", "waiting")
        print_table(screen, heads, [_lane_row(lane) for lane in found["lanes"]])
        if found["providers"]:
            screen.result("")
            heads = ("provider", "ready", "running", "waiting")
            print_table(screen, heads, [_provider_row(one) for one in found["providers"]])

    await ask(manner, lambda client: client.lanes(), show)


async def show_workers(manner: Manner) -> None:
    """Show the processes that do the work."""

    def show(screen: Screen, found: Sequence[Worker]) -> None:
        heads = ("worker", "host", "", "roles", "lanes", "running", "version", "last seen")
        print_table(screen, heads, [_worker_row(each) for each in found])

    await ask(manner, lambda client: client.workers(), show)


def _worker_row(each: Worker) -> tuple[str, ...]:
    return (
        each["id"],
        f"{each['host']}:{each['pid']}",
        "ok" if each["alive"] else "GONE",
        " ".join(each["roles"]),
        " ".join(f"{lane}:{slots}" for lane, slots in each["lanes"].items()),
        str(each["running"]),
        each["version"],
        age(each["last_seen_at"]),
    )


async def pause(lane: str, manner: Manner) -> None:
    """Let a lane start nothing more."""
    said = f"{lane} is paused: what runs goes on, nothing more is started"
    await ask(manner, lambda client: client.pause(lane), lambda screen, _: screen.result(said))


async def resume(lane: str, manner: Manner) -> None:
    """Let a lane start jobs again."""
    said = f"{lane} starts jobs again"
    await ask(manner, lambda client: client.resume(lane), lambda screen, _: screen.result(said))


async def show_dead_letters(chosen: Chosen, manner: Manner) -> None:
    """List the jobs of all accounts that failed last."""

    def show(screen: Screen, letters: Sequence[DeadLetter]) -> None:
        if not letters:
            screen.note("There are no such dead letters.")
        heads = ("id", "failed", "error", "model", "account")
        print_table(screen, heads, [_letter_row(letter) for letter in letters])

    await ask(manner, lambda client: client.dead_letters(**_given(chosen)), show)


async def redrive(
    job_id: str | None, chosen: Chosen, manner: Manner, *, all_failed: bool, all_accounts: bool
) -> None:
    """Do one job anew, or all failed ones of a filter."""
    wanted = _given(chosen)
    if job_id is not None and not all_failed and not all_accounts and not wanted:
        await actions.redrive(job_id, manner)
        return
    if job_id is not None or not all_failed:
        raise BadUse("Give either the id of one job, or --all-failed and what to choose them by.")
    if manner.target is not None:
        raise BadUse("--output saves what one job made: it does not go with --all-failed.")
    if all_accounts and "account_id" in wanted:
        raise BadUse("Give either --account or --all-accounts.")
    if not has_server(read_settings()):
        raise BadUse("--all-failed needs a server to do the work: start `safelight serve`.")
    as_admin = all_accounts or "account_id" in wanted

    def show(screen: Screen, done: Redriven) -> None:
        screen.result(f"{done['redriven']} queued anew")
        if done["skipped"]:
            screen.note(
                f"{done['skipped']} left out, as their last attempts are still open at the "
                "provider; try again in a minute."
            )

    await ask(manner, lambda client: client.redrive_all(wanted, as_admin=as_admin), show)


def _given(chosen: Chosen) -> dict[str, str | int]:
    return {name: value for name, value in chosen.items() if value is not None}


def _lane_row(lane: Lane) -> tuple[str, ...]:
    wait = lane["oldest_wait_s"]
    return (
        lane["name"],
        f"for {age(lane['paused_at'])}" if lane["paused_at"] else "no",
        _count(lane["ready"], is_least=lane["ready_at_least"]),
        "" if wait is None else duration(wait),
        _count(lane["delayed"], is_least=lane["delayed_at_least"]),
        str(lane["running"]),
        str(lane["waiting"]),
    )


def _provider_row(provider: ProviderLoad) -> tuple[str, ...]:
    return (
        provider["name"],
        _count(provider["ready"], is_least=provider["ready_at_least"]),
        str(provider["running"]),
        str(provider["waiting"]),
    )


def _letter_row(letter: DeadLetter) -> tuple[str, ...]:
    return (
        letter["id"],
        f"{age(letter['finished_at'])} ago",
        letter["error"]["code"] if letter["error"] else "",
        letter["model"],
        letter["account_id"],
    )


def _count(number: int, *, is_least: bool) -> str:
    return f"{number}+" if is_least else str(number)


async def print_login_link() -> None:
    """Print a login link of the running server."""
    settings = read_settings()
    if not has_server(settings):
        raise Unreachable("No server runs here: start one with `safelight serve`.")
    screen = Screen()
    async with connected(settings, works=False, note=screen.note) as link:
        screen.result(await link.client.login_link())
