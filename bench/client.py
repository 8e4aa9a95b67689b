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

    async def status(self, job_id: str, etag: str = "") -> str:
        """Read a job, or have its ETag confirmed; return its ETag."""
        condition = f"If-None-Match: {etag}\r\n" if etag else ""
        head, _ = await self._ask(
            f"GET {self._prefix}/jobs/{job_id} HTTP/1.1\r\n{self._head}{condition}\r\n".encode(),
            expected=304 if etag else 200,
        )
        return _field(head, "etag")

    async def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        content = json.dumps(body).encode()
        head = (
            f"POST {self._prefix}{path} HTTP/1.1\r\n{self._head}"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        _, answer = await self._ask(head.encode() + content)
        return json.loads(answer)

    async def _ask(self, request: bytes, *, expected: int | None = None) -> tuple[str, bytes]:
        """Return head and body of the answer; any 2xx will do if no status is `expected`."""
        connection = await self._free.get()
        try:
            async with asyncio.timeout(_DEADLINE_S):
                head, answer = await _exchange(connection, request)
        finally:
            self._free.put_nowait(connection)
        status = int(head[9:12])
        if status != expected and (expected or not 200 <= status < 300):
            raise RuntimeError(f"It answered {status}: {answer.decode()[:500]}")
        return head, answer


@asynccontextmanager
async def connected(service: Service, connections: int) -> AsyncGenerator[Client]:
    """Yield a client whose connections are all open."""
    opened = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(connections)]
    try:
        yield Client(service, opened)
    finally:
        for _, writer in opened:
            writer.close()


async def _exchange(connection: _Connection, request: bytes) -> tuple[str, bytes]:
    """Send a request and read its answer, whose length services state unless it has no body."""
    reader, writer = connection
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    return head, await reader.readexactly(int(_field(head, "content-length") or 0))


def _field(head: str, name: str) -> str:
    """Return a header's value, or an empty string."""
    start = head.lower().find(f"\r\n{name}:")
    return "" if start < 0 else head[start + len(name) + 3 :].partition("\r\n")[0].strip()
