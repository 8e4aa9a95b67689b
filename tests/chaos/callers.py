"""The callers of a chaos run: they ask until they are answered, cancel, and watch every job."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import httpx2

from tests.chaos.history import FINAL, Sighting, Wish
from tests.chaos.script import Plan

_PAUSE_S = 0.3
_LOOK_EVERY_S = 0.4
_PAGE = 200
_AT_ONCE = 20


class Callers:
    """Those who wrote `plans`, one client for each account."""

    def __init__(self, clients: Sequence[httpx2.AsyncClient], plans: Sequence[Plan]) -> None:
        self.sightings: list[Sighting] = []
        self.refusals = 0  # answers of 503, or none at all
        self._clients = clients
        self._plans = plans
        self._answered: defaultdict[str, set[str]] = defaultdict(set)
        self._last: dict[str, Sighting] = {}
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._began = time.monotonic()

    @property
    def wishes(self) -> list[Wish]:
        """The requests, each with the ids of the jobs that answered it."""
        return [
            Wish(plan.prompt, plan.outputs, plan.endings, frozenset(self._answered[plan.prompt]))
            for plan in self._plans
        ]

    @property
    def unfinished(self) -> set[str]:
        """The prompts of jobs that nobody has seen final, by the last look."""
        ended = {seen.job_id for seen in self._last.values() if seen.status in FINAL}
        return {plan.prompt for plan in self._plans if not self._answered[plan.prompt] & ended}

    async def ask_for_everything(self) -> None:
        """Send every job at its time; return when all are accepted, and canceled where planned."""
        async with asyncio.TaskGroup() as group:
            for plan in self._plans:
                group.create_task(self._follow(plan))

    async def watch(self) -> None:
        """Look at every job again and again, until canceled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def look(self) -> None:
        """Look at every job once."""
        for client in self._clients:
            async for document in self._listed(client):
                outputs = tuple(output["id"] for output in document["outputs"])
                seen = Sighting(document["id"], document["status"], outputs)
                if self._last.get(seen.job_id) != seen:
                    self._last[seen.job_id] = seen
                    self.sightings.append(seen)

    async def _follow(self, plan: Plan) -> None:
        await asyncio.sleep(max(0.0, self._began + plan.at_s - time.monotonic()))
        body = _body(plan)
        job_id = await self._submit(plan, body)
        if plan.is_sent_twice:
            await self._submit(plan, body)
        if plan.cancel_after_s is not None:
            await asyncio.sleep(plan.cancel_after_s)
            await self._ask(plan.account, "POST", f"/v1/jobs/{job_id}/cancel", again=_OVER)

    async def _submit(self, plan: Plan, body: Mapping[str, Any]) -> str:
        document = await self._ask(
            plan.account,
            "POST",
            "/v1/generate",
            json=body,
            headers={"Idempotency-Key": plan.prompt},
        )
        self._answered[plan.prompt].add(document["job_id"])
        return document["job_id"]

    async def _ask(
        self,
        account: int,
        method: str,
        path: str,
        *,
        again: frozenset[int] = frozenset(),
        **request: Any,
    ) -> dict[str, Any]:
        """Ask until it is done; `again` are answers to what an earlier, unheard try had done."""
        while True:
            async with self._at_once:
                answer = await self._answer(self._clients[account], method, path, **request)
            if answer is not None:
                assert answer.is_success or answer.status_code in again, answer.text
                return answer.json()
            await asyncio.sleep(_PAUSE_S)

    async def _listed(self, client: httpx2.AsyncClient) -> AsyncIterator[dict[str, Any]]:
        cursor: str | None = ""
        while cursor is not None:
            chosen = {"limit": _PAGE} | ({"cursor": cursor} if cursor else {})
            answer = await self._answer(client, "GET", "/v1/jobs", params=chosen)
            if answer is None:
                return
            page = answer.raise_for_status().json()
            for document in page["data"]:
                yield document
            cursor = page["next_cursor"]

    async def _answer(
        self, client: httpx2.AsyncClient, method: str, path: str, **request: Any
    ) -> httpx2.Response | None:
        """Return an answer, or None where the service is away, and says so if it can."""
        try:
            answer = await client.request(method, path, **request)
        except httpx2.TransportError:
            self.refusals += 1
            return None
        if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            assert int(answer.headers["Retry-After"]) > 0
            self.refusals += 1
            return None
        return answer


_OVER = frozenset({HTTPStatus.CONFLICT.value})


def _body(plan: Plan) -> dict[str, Any]:
    body = {"prompt": plan.prompt, "model": plan.model, "params": dict(plan.params)}
    if plan.later_s is not None:
        body["start_at"] = (datetime.now(UTC) + timedelta(seconds=plan.later_s)).isoformat()
    return body
