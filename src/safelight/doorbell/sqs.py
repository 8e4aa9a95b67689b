"""Rings through Amazon SQS: a queue for each lane, which wakes one of the lane's workers.

A message of a queue reaches one receiver only, so it cannot carry what many must hear. Rings of
subjects and the halt ring stay in their process: streams look by themselves every two seconds,
and workers whenever they renew their leases. The operator makes the queues, `{prefix}-{lane}`,
with a redrive policy: a message that cannot be read is left there for the dead-letter queue.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, NoReturn
from urllib.parse import parse_qs, urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError

from safelight import telemetry
from safelight.doorbell import message
from safelight.doorbell.ears import Ears
from safelight.doorbell.errors import DoorbellSilent
from safelight.doorbell.wire import DEADLINE_S, Rhythm, obey_cancel

_log = telemetry.logger(__name__)

_LANE = "lane:"
_POLL_S = 20  # the longest that SQS allows
_MOST_AT_ONCE = 10  # likewise
_MOST_BYTES = 64_000
_LOOK_AGAIN_S = 5.0  # for a queue that was missing
_PROBE = "probe"  # no such queue is needed: that it does not exist is an answer too
# What SQS says when it works and this one queue cannot be used.
_QUEUE_FAULTS = {
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
    "AccessDenied",
    "AccessDeniedException",
    "InvalidParameterValue",
}


class _QueueUnusable(Exception):
    """SQS answers, but this queue is missing or closed to us."""


class SqsLine:
    """Queues that are found when they are first needed."""

    def __init__(self, client: Any, prefix: str, ears: Ears) -> None:
        self._client = client  # made by botocore at run time, so it has no type
        self._prefix = prefix
        self._ears = ears
        self._urls: dict[str, str] = {}
        self._unusable: dict[str, float] = {}  # lanes, and when to look for their queue again

    async def send(self, topics: Sequence[str]) -> None:
        """Put a message into each lane's queue; the process has heard the rest by itself."""
        lanes = [topic.removeprefix(_LANE) for topic in topics if topic.startswith(_LANE)]
        async with asyncio.TaskGroup() as group:
            for lane in lanes:
                group.create_task(self._put(lane))

    async def _put(self, lane: str) -> None:
        if time.monotonic() < self._unusable.get(lane, 0):
            return
        (text,) = message.write(self._ears.id, [_LANE + lane], _MOST_BYTES)
        try:
            await self._ask(lane, "send_message", MessageBody=text)
        except _QueueUnusable:
            return  # it is logged, and `check` tells

    async def probe(self) -> None:
        try:
            await self._call("get_queue_url", QueueName=f"{self._prefix}-{_PROBE}")
        except _QueueUnusable:
            return

    async def hear(self) -> NoReturn:
        """Poll the queues of the lanes that somebody here listens to, while somebody does."""
        polls: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                lanes = await self._ears.lanes_other_than(frozenset(polls))
                for lane in lanes - polls.keys():
                    polls[lane] = group.create_task(self._poll(lane))
                for lane in polls.keys() - lanes:
                    polls.pop(lane).cancel()

    async def check(self) -> None:
        """Raise DoorbellSilent where a lane in use has no queue."""
        for lane in list(self._unusable):
            try:
                await self._url(lane)
            except _QueueUnusable:
                raise DoorbellSilent(f"The queue {self._prefix}-{lane} cannot be used.") from None

    async def _poll(self, lane: str) -> None:
        while True:
            obey_cancel()
            try:
                answer = await self._ask(
                    lane,
                    "receive_message",
                    MaxNumberOfMessages=_MOST_AT_ONCE,
                    WaitTimeSeconds=_POLL_S,
                )
                await self._take(lane, answer.get("Messages", []))
            except _QueueUnusable:
                await asyncio.sleep(_LOOK_AGAIN_S)

    async def _take(self, lane: str, received: Sequence[Mapping[str, str]]) -> None:
        """Strike the bells, and delete what could be read; the rest is the redrive policy's."""
        heard = [each for each in received if self._ears.hear(each["Body"])]
        if heard:
            entries = [
                {"Id": str(number), "ReceiptHandle": each["ReceiptHandle"]}
                for number, each in enumerate(heard)
            ]
            await self._ask(lane, "delete_message_batch", Entries=entries)

    async def _ask(self, lane: str, operation: str, **parameters: object) -> Mapping[str, Any]:
        """Return the answer of the lane's queue."""
        url = await self._url(lane)
        try:
            return await self._call(operation, QueueUrl=url, **parameters)
        except _QueueUnusable as error:
            self._urls.pop(lane, None)
            self._set_aside(lane, error)
            raise

    async def _url(self, lane: str) -> str:
        if url := self._urls.get(lane):
            return url
        try:
            answer = await self._call("get_queue_url", QueueName=f"{self._prefix}-{lane}")
        except _QueueUnusable as error:
            self._set_aside(lane, error)
            raise
        if self._unusable.pop(lane, None):
            _log.info("queue found", queue=f"{self._prefix}-{lane}")
        url = self._urls[lane] = str(answer["QueueUrl"])
        return url

    def _set_aside(self, lane: str, error: _QueueUnusable) -> None:
        if lane not in self._unusable:
            _log.warning(
                "queue cannot be used; its lane's rings stay in their process",
                queue=f"{self._prefix}-{lane}",
                error=str(error),
            )
        self._unusable[lane] = time.monotonic() + _LOOK_AGAIN_S

    async def _call(self, operation: str, **parameters: object) -> Mapping[str, Any]:
        deadline_s = DEADLINE_S
        if operation == "receive_message":
            deadline_s += _POLL_S
        try:
            async with asyncio.timeout(deadline_s):
                return await getattr(self._client, operation)(**parameters)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _QUEUE_FAULTS:
                raise _QueueUnusable(code) from error
            raise


class SqsWire:
    """The queues of one region, as `sqs://REGION/PREFIX`; credentials are found as AWS does."""

    name = "sqs"
    # Each request costs money.
    rhythm = Rhythm(pace=timedelta(milliseconds=100), probe_every=timedelta(seconds=15))

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._region = parts.netloc
        self._prefix = parts.path.strip("/")
        if not self._region or not self._prefix:
            raise ValueError("The doorbell URL must read sqs://REGION/QUEUE-PREFIX.")
        self._endpoint_url = parse_qs(parts.query).get("endpoint_url", [None])[0]
        self._session = AioSession()

    @asynccontextmanager
    async def connect(self, ears: Ears) -> AsyncIterator[SqsLine]:
        config = AioConfig(
            connect_timeout=DEADLINE_S,
            read_timeout=_POLL_S + DEADLINE_S,
            max_pool_connections=50,
            warm_up_loader_caches=True,  # reads its large files in a thread
            retries={"total_max_attempts": 1},  # the doorbell tries again by itself
        )
        async with self._session.create_client(
            "sqs", region_name=self._region, endpoint_url=self._endpoint_url, config=config
        ) as client:
            line = SqsLine(client, self._prefix, ears)
            await line.probe()
            yield line
