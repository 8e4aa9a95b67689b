"""Stands in for Replicate as fast as it can: `python -m bench.standin PORT SIDE [at-once]`.

It keeps connections open, as vendors do. A prediction has ended at the first look, or at once; its
picture is one of several of SIDE pixels.
"""

import asyncio
import json
import sys
from itertools import count

import uvloop

from bench.noise import noisy_png

_PICTURES = [noisy_png(int(sys.argv[2]), seed) for seed in range(16)]
_NUMBERS = count()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, path, _ = head.split(" ", 2)
            length = head.lower().partition("content-length: ")[2].partition("\r\n")[0]
            await reader.readexactly(int(length or 0))
            status, kind, body = _answer(method, path)
            fields = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            writer.write(f"HTTP/1.1 {status} Status\r\n{fields}\r\n".encode() + body)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def _answer(method: str, path: str) -> tuple[int, str, bytes]:
    if path.startswith("/made/"):
        return 200, "image/png", _PICTURES[hash(path) % len(_PICTURES)]
    if method == "POST":
        ended = len(sys.argv) > 3
        return 201, "application/json", _prediction(f"p{next(_NUMBERS)}", ended=ended)
    if path.startswith("/v1/predictions/"):
        return 200, "application/json", _prediction(path.rpartition("/")[2], ended=True)
    return 404, "application/json", b"{}"


def _prediction(name: str, *, ended: bool) -> bytes:
    made = f"http://127.0.0.1:{sys.argv[1]}/made/{name}.png"
    end = {"status": "succeeded", "output": [made], "metrics": {"predict_time": 0.5}}
    begun = {"status": "starting", "output": None}
    common = {"id": name, "model": "black-forest-labs/flux-schnell", "version": "hidden"}
    more = {"input": {"prompt": "a red cat"}, "error": None, "logs": "Using seed: 42"}
    return json.dumps(common | more | (end if ended else begun)).encode()


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", int(sys.argv[1]), backlog=2048)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main())
