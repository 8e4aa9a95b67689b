"""The first jobs of a new installation, one of each kind, sent as any other client would."""

import asyncio
from collections.abc import Awaitable
from contextlib import aclosing
from importlib import resources

import httpx2

from safelight.cli.client import Client
from safelight.cli.documents import Document, items_of
from safelight.cli.failure import Failure, say
from safelight.cli.progress import read_document
from safelight.cli.saved.outputs import outputs_of
from safelight.cli.show import LineDisplay, Screen
from safelight.documents import Asset

PROMPT = "A red cat playing guitar"
_MUG_WIDTH = 768


async def send(client: Client, screen: Screen, prompt: str) -> bool:
    """Draw `prompt`; where no job was ever sent, show the other kinds too. Failures are told.

    Returns whether anything was sent.
    """
    try:
        is_first = not await client.jobs(limit=1)
        if is_first:
            screen.note("This is the first start: here is one job of each kind.")
        if is_first or prompt:
            picture = await _do(screen, client, client.generate({"prompt": prompt or PROMPT}))
            if is_first:
                await _send_others(client, screen, picture)
            return True
    except (Failure, httpx2.HTTPError, OSError) as error:
        screen.note(f"The samples ended early: {error}")
    return False


async def _send_others(client: Client, screen: Screen, picture: Asset | None) -> None:
    # The internet may be far away; the picture just made has an address like any other.
    if picture and picture["url"]:
        await _do(screen, client, client.import_images([picture["url"]]))
    mug = await asyncio.to_thread(draw_mug)
    await _do(screen, client, client.make_3d([("mug.png", mug)], {}))


async def _do(screen: Screen, client: Client, submit: Awaitable[Document]) -> Asset | None:
    """Follow one sample to its end and return its first output; a failure is only told."""
    display = LineDisplay(screen)
    try:
        document = await submit
        update = read_document(document)
        for row in update.rows:
            display.show(row)
        final = update.final or await _follow(client, document["id"], display)
    except Failure as failure:
        screen.note(f"  refused: {failure}")
        return None
    for item in items_of(final):
        problem = item["problem"] or (item["job"] or {}).get("error")
        if problem:
            screen.note(f"  {say(problem)}")
    made = outputs_of(final)
    for _, asset in made:
        screen.note(f"  {asset['url']}")
    return made[0][1] if made else None


async def _follow(client: Client, subject: str, display: LineDisplay) -> Document:
    async with aclosing(client.follow(subject)) as updates:
        async for update in updates:
            for row in update.rows:
                display.show(row)
            if update.final:
                return update.final
    raise AssertionError("unreachable")


def draw_mug() -> bytes:
    """Return the sample picture as a PNG without a background."""
    import resvg_py  # noqa: PLC0415  needed once in an installation's life

    drawing = resources.files("safelight.cli.samples").joinpath("mug.svg").read_text("utf-8")
    return bytes(resvg_py.svg_to_bytes(svg_string=drawing, width=_MUG_WIDTH))
