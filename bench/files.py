"""How fast kept files are sent, against nginx sending the very same ones."""

import asyncio
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.children import listens, running
from bench.server import running_server
from bench.sizes import Sizes
from bench.table import Row
from tests.servers import free_port, wait_until

_CONNECTIONS = 4
_BUFFER = 1 << 20
_KEYS = {"20 KB": 20_000, "200 KB": 200_000, "20 MB": 20_000_000}
_NGINX = """
daemon off; worker_processes 1; pid {home}/nginx.pid; error_log {home}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  types {{ image/png png; }}
  client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi; uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
  server {{ listen 127.0.0.1:{port}; location /files/ {{ alias {objects}/; etag on; }} }}
}}
"""


@dataclass(frozen=True, slots=True)
class _Contender:
    name: str
    port: int
    pid: int


async def files(sizes: Sizes) -> list[Row]:
    """Return requests and MiB a second, and the server's processor time for each GiB."""
    return await asyncio.to_thread(_files, sizes)


def _files(sizes: Sizes) -> list[Row]:
    with running_server() as server:
        objects = server.data_dir / "objects"
        names = {}
        for label, size in _KEYS.items():
            key = f"images/job_bench/{label.replace(' ', '').lower()}.png"
            path = objects / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(size))
            names[label] = f"/files/{key}"
        port = int(server.url.rpartition(":")[2])
        with _nginx(objects) as nginx:
            both = (_Contender("Safelight, 1 process", port, server.pid), *nginx)
            return [
                {"file": label, **_measure(contender, path, sizes.files_s)}
                for label, path in names.items()
                for contender in both
            ]


@contextmanager
def _nginx(objects: Path) -> Generator[list[_Contender]]:
    """Yield nginx, where it is installed."""
    program = shutil.which("nginx")
    if program is None:
        yield []
        return
    with tempfile.TemporaryDirectory(prefix="bench-nginx-") as name:
        home, port = Path(name), free_port()
        config = home / "nginx.conf"
        user = "user root; " if os.geteuid() == 0 else ""  # who may read the same folder
        config.write_text(user + _NGINX.format(home=home, port=port, objects=objects))
        with running(program, "-c", config, log=home / "log") as process:
            wait_until(lambda: listens(port))
            (worker,) = psutil.Process(process.pid).children()
            yield [_Contender("nginx, 1 worker, sendfile", port, worker.pid)]


def _measure(contender: _Contender, path: str, seconds: float) -> Row:
    counts = [0] * _CONNECTIONS
    sent = [0] * _CONNECTIONS
    until = time.monotonic() + seconds

    def ask(number: int) -> None:
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        buffer = bytearray(_BUFFER)
        with socket.create_connection(("127.0.0.1", contender.port), timeout=30) as connection:
            while time.monotonic() < until:
                connection.sendall(request)
                sent[number] += _drain(connection, buffer)
                counts[number] += 1

    process = psutil.Process(contender.pid)
    before, began = process.cpu_times(), time.perf_counter()
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(_CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, after = time.perf_counter() - began, process.cpu_times()
    cpu_s = (after.user + after.system) - (before.user + before.system)
    total = sum(sent)
    return {
        "server": contender.name,
        "requests/s": sum(counts) / took,
        "MiB/s": total / 2**20 / took,
        "CPU s/GiB": cpu_s / (total / 2**30),
        "CPU ms/request": cpu_s * 1000 / sum(counts),
    }


def _drain(connection: socket.socket, buffer: bytearray) -> int:
    """Read one answer, whose length its head says; return the bytes of its body."""
    head = b""
    while b"\r\n\r\n" not in head:
        got = connection.recv(65536)
        if not got:
            raise RuntimeError("The server closed the connection.")
        head += got
    fields, _, body = head.partition(b"\r\n\r\n")
    if not fields.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(fields.decode(errors="replace"))
    length = int(fields.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    left = length - len(body)
    view = memoryview(buffer)
    while left:
        got = connection.recv_into(view, min(left, _BUFFER))
        if not got:
            raise RuntimeError("The server closed the connection.")
        left -= got
    return length
