"""A load generator light enough for one core: JSON over HTTP/1.1 on connections kept open."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from bench.service import Service

_DEADLINE_S = 60
_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Client:
    """A fixed number of connections to one service; a request waits for a free one."""

    def __init__(self, service: Service, connections: list[_Connection]) -> None:
        self._head = (
            f"Host: 127.0.0.1\r\nAuthorization: Bearer {service.key}\r\n"
            "Content-Type: application/json\r\n"
        )
        self._prefix = service.prefix
        self._free: asyncio.Queue[_Connection] = asyncio.Queue()
        for connection in connections:
            self._free.put_nowait(connection)

    async def submit(self, prompt: str, params: Mapping[str, Any], **more: Any) -> str:
        """Ask for a job of the no-op provider; return its id once the service has it."""
        body = {"model": "fake", "prompt": prompt, "params": params, **more}
        return (await self._post("/generate", body))["job_id"]

    async def submit_many(
        self, prompts: list[str], params: Mapping[str, Any], **more: Any
    ) -> float:
        """Submit all, as many at once as there are connections; return the seconds it took."""
        began = time.perf_counter()
        waiting = iter(prompts)

        async def one_after_another() -> None:
            for prompt in waiting:
                await self.submit(prompt, params, **more)

        async with asyncio.TaskGroup() as group:
            for _ in range(self._free.qsize()):
                group.create_task(one_after_another())
        return time.perf_counter() - began

    async def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        content = json.dumps(body).encode()
        head = (
            f"POST {self._prefix}{path} HTTP/1.1\r\n{self._head}"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        connection = await self._free.get()
        try:
            async with asyncio.timeout(_DEADLINE_S):
                status, answer = await _exchange(connection, head.encode() + content)
        finally:
            self._free.put_nowait(connection)
        if not 200 <= status < 300:
            raise RuntimeError(f"{path} answered {status}: {answer.decode()[:500]}")
        return json.loads(answer)


@asynccontextmanager
async def connected(service: Service, connections: int) -> AsyncGenerator[Client]:
    """Yield a client whose connections are all open."""
    opened = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(connections)]
    try:
        yield Client(service, opened)
    finally:
        for _, writer in opened:
            writer.close()


async def _exchange(connection: _Connection, request: bytes) -> tuple[int, bytes]:
    """Send a request and read its answer, whose length both services state."""
    reader, writer = connection
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"\r\ncontent-length:", 1)[1].split(b"\r\n", 1)[0])
    return int(head[9:12]), await reader.readexactly(length)
