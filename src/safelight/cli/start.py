"""`safelight serve`: starts the server, says where it is, and shows a newcomer the main job done."""

import asyncio
import os
from contextlib import AsyncExitStack

from rich.text import Text

from safelight import datadir, telemetry
from safelight.app import Safelight
from safelight.cli import serve, show
from safelight.cli.client import Client, Refused, Unreachable
from safelight.cli.samples import run_samples
from safelight.settings import Settings


async def start(settings: Settings, *, samples: bool, prompt: str) -> None:
    """Serve until told to stop."""
    telemetry.configure_logs(settings.log_level, settings.log_format)
    # A port that was asked for is kept or refused; the default may move to the next free one.
    strict = "port" in settings.model_fields_set
    with serve.bind(settings, strict=strict) as listener:
        async with AsyncExitStack() as stack:
            whole = await stack.enter_async_context(serve.answering(settings, listener))
            own_url = serve.address(listener)
            folder = settings.data_dir
            key = datadir.local_key(folder)
            caller = await whole.services.accounts.authenticate(key)
            token = await whole.services.accounts.login_token(caller.account_id)
            datadir.announce(folder, datadir.RunningServer(own_url, os.getpid()))
            _greet(whole, own_url, token)
            told = asyncio.create_task(serve.until_told(_goodbye))  # noqa: TID251  awaited below
            showing = asyncio.create_task(  # noqa: TID251  ended below
                _show_samples(own_url, key, samples=samples, prompt=prompt)
            )
            await told
            showing.cancel()
            await asyncio.wait([showing])


def _greet(whole: Safelight, own_url: str, token: str) -> None:
    say = show.out.print
    say()
    say(Text("Safelight", style="bold") + Text(f" answers on {own_url}"))
    say(f"  web page:  {whole.url}/login?token={token}", markup=False)
    say(f"  API:       {own_url}/docs", markup=False)
    say(f"  data:      {whole.settings.data_dir}", markup=False)
    say("  stop:      Ctrl-C", style="dim")
    say()


def _goodbye(signal_name: str) -> None:
    show.err.print(f"Stopping ({signal_name}); once more ends it at once.", style="dim")


async def _show_samples(url: str, key: str, *, samples: bool, prompt: str) -> None:
    async with Client(url, key) as client:
        try:
            first = not (await client.get("/v1/jobs", limit=1))["data"]
            await run_samples(client, prompt, every_kind=samples and first)
        except (Refused, Unreachable, OSError) as error:
            show.fail(f"The sample did not work: {error}")
