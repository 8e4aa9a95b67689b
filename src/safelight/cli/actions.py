"""Does what each command says, as a client of the API: send, follow, save, tell."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from safelight.cli import arguments, listing
from safelight.cli.client import Client
from safelight.cli.connect import Link, connected, has_server
from safelight.cli.documents import Document, items_of
from safelight.cli.environment import read_settings
from safelight.cli.failure import BadUse, Failure, Interrupted, say
from safelight.cli.progress import read_document
from safelight.cli.saved import outputs, saving
from safelight.cli.saved.written import STDOUT
from safelight.cli.show import Screen
from safelight.cli.tags import all_tags
from safelight.documents import Asset, Job
from safelight.json_object import JsonObject

Answer = TypeVar("Answer")
Submit = Callable[[Client], Awaitable[Document]]
_MOST_REASONS = 20
_MADE_IN = ("jpeg", "webp")  # formats to ask the model for; others are derived afterwards


@dataclass(frozen=True, slots=True)
class Manner:
    """How a command goes about it: JSON or words, waiting or not, and where files are saved."""

    as_json: bool = False
    waits: bool = True
    target: str | None = None
    within_s: float | None = None  # how long to wait


async def ask(
    manner: Manner,
    request: Callable[[Client], Awaitable[Answer]],
    show: Callable[[Screen, Answer], None],
) -> None:
    """Send a request that runs no job; write its answer as JSON, or as `show` does."""
    screen = Screen()
    async with connected(read_settings(), works=False, note=screen.note) as link:
        answer = await request(link.client)
    if manner.as_json:
        screen.document(answer)
    else:
        show(screen, answer)


async def generate(
    wanted: Mapping[str, Any],
    references: Sequence[str],
    mask: str | None,
    pairs: Sequence[str],
    manner: Manner,
) -> None:
    """Make pictures from a prompt."""
    body = {name: value for name, value in wanted.items() if value is not None}
    params = arguments.read_params(pairs)
    arguments.check_agreeing(body, params)
    asked = outputs.format_of(manner.target, outputs.IMAGE)
    if asked and body.get("format", asked) != asked:
        raise BadUse(f"--format {body['format']} contradicts {manner.target}.")
    if asked in _MADE_IN:
        body.setdefault("format", asked)
    if params:
        body["params"] = params

    async def submit(client: Client) -> Document:
        found = [await _reference(client, text) for text in references]
        given: JsonObject = {"references": found} if found else {}
        if mask:
            given["mask"] = await _reference(client, mask)
        return await client.generate(body | given)

    # A file that is not there is noticed before a server is started.
    for text in (*references, *([mask] if mask else [])):
        if _is_file(text):
            arguments.open_file(text).close()
    await _do(submit, manner, outputs.IMAGE)


async def import_images(words: Sequence[str], manner: Manner, tags: Sequence[str] = ()) -> None:
    """Import pictures by their addresses."""
    urls = arguments.read_urls(words)
    await _do(lambda client: client.import_images(urls, tags), manner, outputs.IMAGE)


async def make_3d(
    names: Sequence[str],
    sides: Mapping[str, str | None],
    said: Mapping[str, Any],
    pairs: Sequence[str],
    manner: Manner,
) -> None:
    """Make a 3D model of each picture; or of one thing, seen from several `sides`."""
    arguments.check_pictures(names)
    wanted = {name: value for name, value in said.items() if value}
    wanted["params"] = arguments.read_params(pairs)
    if "tags" in wanted:
        wanted["tags"] = all_tags(wanted["tags"])
    seen = {side: text for side, text in sides.items() if text is not None}
    if seen:
        await _make_of_sides(names, seen, wanted, manner)
        return
    with ExitStack() as files:
        pictures = [
            (Path(name).name, files.enter_context(arguments.open_file(name))) for name in names
        ]
        await _do(lambda client: client.make_3d(pictures, wanted), manner, outputs.MODEL_3D)


async def _make_of_sides(
    names: Sequence[str], sides: Mapping[str, str], wanted: Mapping[str, Any], manner: Manner
) -> None:
    if len(names) != 1:
        raise BadUse("--left, --back and --right go with one picture: the one from the front.")
    views = {"front": names[0], **sides}
    for text in filter(_is_file, views.values()):
        arguments.open_file(text).close()

    async def submit(client: Client) -> Document:
        item: dict[str, str] = {side: await _reference(client, views[side]) for side in views}
        if _is_file(names[0]):
            item["name"] = Path(names[0]).name
        return await client.make_batch({**wanted, "items": [item]})

    await _do(submit, manner, outputs.MODEL_3D)


async def redrive(subject: str, manner: Manner) -> None:
    """Do a failed or canceled job anew, or all failed ones of a batch."""
    await _do(lambda client: client.redrive(subject), manner)


async def cancel(subject: str, manner: Manner) -> None:
    """End a job, or all of a batch that has not ended."""

    def show(screen: Screen, document: Document) -> None:
        screen.result(f"{document['id']} is {document['status']}")

    await ask(manner, lambda client: client.cancel(subject), show)


async def download(subject: str, manner: Manner, *, form: str | None, previews: bool) -> None:
    """Save the outputs of a job, or of a batch as one ZIP."""
    outputs.check_target(manner.target)
    saving.check_stream(manner.target, as_json=False)
    screen = Screen()
    async with connected(read_settings(), works=False, note=screen.note) as link:
        document = await link.client.get(subject)
        if "items" in document:
            target = _zip_target(manner.target, document["id"])
            await link.client.download_batch(subject, target, form=form, previews=previews)
            paths = [target]
        else:
            if previews:
                raise BadUse("--previews goes with a batch.")
            made = outputs.outputs_of(document)
            if not made:
                raise Failure(_no_outputs(document))
            paths = await saving.save(link.client, document, made, manner.target or ".", form)
    for path in paths:
        screen.result(str(path))


def _zip_target(target: str | None, batch_id: str) -> Path:
    if target == STDOUT:
        raise BadUse("A batch is saved as a ZIP: name a file or a folder.")
    path = Path(target or ".")
    if path.is_dir():
        return path / f"{batch_id}.zip"
    if path.suffix.lower() not in ("", ".zip"):
        raise BadUse(f"{path}: a batch is saved as a ZIP; name it .zip, or name a folder.")
    return path


def _no_outputs(job: Job) -> str:
    if job["status"] == "succeeded":
        return "The job's outputs have been deleted."
    return f"The job has no outputs: it is {job['status']}."


async def show_jobs(chosen: Mapping[str, str | int | None], manner: Manner) -> None:
    """List the newest jobs."""
    wanted = {name: value for name, value in chosen.items() if value is not None}
    show = partial(listing.show_jobs, is_filtered=wanted.keys() > {"limit"})
    await ask(manner, lambda client: client.jobs(**wanted), show)


async def show_job(subject: str, manner: Manner) -> None:
    """Show one job or batch."""
    await ask(manner, lambda client: client.get(subject), listing.show_document)


async def show_assets(chosen: Mapping[str, Any], manner: Manner) -> None:
    """List the assets that match."""
    wanted = {name: value for name, value in chosen.items() if value}
    await ask(manner, lambda client: client.assets(wanted), listing.show_assets)


async def show_models(manner: Manner) -> None:
    """List what can be asked for."""
    await ask(manner, lambda client: client.models(), listing.show_models)


# --- one piece of work, from sending it to its result ------------------------------------------


async def _do(submit: Submit, manner: Manner, *kinds: str) -> None:
    """Send work, follow it to its end unless told otherwise, save and tell its results.

    `kinds` are those of its outputs, if they are known.
    """
    outputs.check_target(manner.target, *kinds)
    saving.check_stream(manner.target, as_json=manner.as_json)
    settings = read_settings()
    if not manner.waits and manner.target:
        raise BadUse("--no-wait leaves nothing to save yet: give either it or --output.")
    if not manner.waits and not has_server(settings):
        raise BadUse("--no-wait needs a server to do the work: start one with `safelight serve`.")
    screen = Screen()
    async with connected(settings, works=True, note=screen.note) as link:
        document = await submit(link.client)
        if not manner.waits:
            _tell_queued(screen, document, manner)
            return
        final = await _follow_in_time(link, screen, document, manner.within_s)
        made = outputs.outputs_of(final)
        paths: list[Path] = []
        if manner.target is not None and made:
            paths = await saving.save(link.client, final, made, manner.target)
        if manner.as_json:
            screen.document(final)
        elif manner.target != STDOUT:
            _tell_results(link, screen, made, paths)
    _fail_unless_succeeded(screen, final)


def _tell_queued(screen: Screen, document: Document, manner: Manner) -> None:
    if manner.as_json:
        screen.document(document)
        return
    screen.result(document["id"])
    screen.note(f"Queued. See how it goes with: safelight job {document['id']}")


async def _follow_in_time(
    link: Link, screen: Screen, document: Document, within_s: float | None
) -> Document:
    """Return the final document, or raise `Failure` with the job's state after `within_s`."""
    try:
        async with asyncio.timeout(within_s):
            return await _follow(link, screen, document)
    except TimeoutError:
        now = await link.client.get(document["id"])
        stage = now.get("stage")  # a batch has none
        why = f" ({stage})" if stage else ""
        goes_on = _what_goes_on(link, document)
        raise Failure(
            f"Not done within {within_s:g} s: it is {now['status']}{why}. {goes_on}"
        ) from None
    except asyncio.CancelledError:
        raise Interrupted(f"Interrupted. {_what_goes_on(link, document)}") from None


async def _follow(link: Link, screen: Screen, document: Document) -> Document:
    """Return the final document of what was sent, showing progress until then."""
    first = read_document(document)
    with screen.progress(len(first.rows)) as display:
        for row in first.rows:
            display.show(row)
        if first.final:
            return first.final
        async with aclosing(link.client.follow(document["id"])) as updates:
            async for update in updates:
                for row in update.rows:
                    display.show(row)
                if update.final:
                    return update.final
    raise AssertionError("unreachable")


def _what_goes_on(link: Link, document: Document) -> str:
    ids = [item["job"]["id"] for item in items_of(document) if item["job"]]
    end = f"safelight cancel {ids[0]}" if len(ids) == 1 else "`safelight cancel` and a job's id"
    subject = document["id"]
    if link.is_own:
        return f"{subject} goes on when Safelight runs next; to end it: {end}"
    return f"{subject} goes on at {link.client.url}; to end it: {end}"


def _tell_results(
    link: Link, screen: Screen, made: Sequence[tuple[str, Asset]], paths: Sequence[Path]
) -> None:
    for number, (_, asset) in enumerate(made):
        url = asset["url"] or ""
        screen.result(f"{paths[number]}\t{url}" if paths else url)
    if missed := _unrecognized(made):
        screen.note(
            f"Not understood, and not drawn: {', '.join(missed)}. This model composes icons by "
            "rules; `safelight models` lists others."
        )
    for step in _next_steps(made):
        screen.note(f"Low quality: {step}")
    if link.is_own and made and not paths:
        screen.note("No server runs here: the address answers while `safelight serve` does.")
        if link.objects is not None:
            _tell_files(link.objects, screen, made)


def _unrecognized(made: Sequence[tuple[str, Asset]]) -> list[str]:
    """Return the words of prompts that a model says it did not understand."""
    words = (word for _, asset in made for word in asset["facts"].get("unrecognized", ()))
    return list(dict.fromkeys(map(str, words)))[:_MOST_REASONS]


def _next_steps(made: Sequence[tuple[str, Asset]]) -> list[str]:
    """Return how outputs could be better, of those that their model itself calls poor."""
    facts = (asset["facts"] for _, asset in made)
    steps = (str(each["next_step"]) for each in facts if each.get("next_step"))
    return list(dict.fromkeys(steps))[:_MOST_REASONS]


def _tell_files(folder: Path, screen: Screen, made: Sequence[tuple[str, Asset]]) -> None:
    for _, asset in made:
        key = urlsplit(asset["url"] or "").path.removeprefix("/files/")
        screen.note(f"The file is {folder / key}")


async def _reference(client: Client, text: str) -> str:
    """Return what the API takes for a reference; a file is uploaded first."""
    if not _is_file(text):
        return text
    with arguments.open_file(text) as file:
        asset = await client.upload((Path(text).name, file))
    return asset["id"]


def _is_file(text: str) -> bool:
    return not (text.startswith("ast_") or arguments.is_url(text))


def _fail_unless_succeeded(screen: Screen, document: Document) -> None:
    items = items_of(document)
    reasons = [
        (item["name"] or "", reason)
        for item in items
        if (reason := _reason(item["job"]) if item["job"] else say(item["problem"] or {}))
    ]
    if not reasons:
        return
    if len(items) == 1:
        raise Failure(reasons[0][1])
    for name, reason in reasons[:_MOST_REASONS]:
        screen.note(f"{name}: {reason}" if name else reason)
    raise Failure(f"{len(reasons)} of {len(items)} did not succeed.")


def _reason(job: Job) -> str:
    """Return why the job did not succeed; empty if it did."""
    if job["status"] == "succeeded":
        return ""
    return say(job["error"]) if job["error"] else f"{job['id']} was {job['status']}."
