"""Calls a service about one of its jobs: poll it, cancel it, find it by attempt."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from safelight.json_object import JsonObject
from safelight.providers.errors import ProviderBadInput, ProviderError, ProviderRejected
from safelight.providers.remote.api import Api
from safelight.providers.remote.http_service.places import word
from safelight.providers.remote.http_service.service import ATTEMPT, TICKET, Later
from safelight.providers.remote.untrusted import parse

if TYPE_CHECKING:
    from safelight.errors import SafelightError

_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


@dataclass(frozen=True, slots=True)
class Asking:
    """The calls about a job, each with the deadline `answer_s`. Raises if a call failed."""

    api: Api
    later: Later
    answer_s: float
    max_bytes: int

    async def status(self, ticket: str) -> JsonObject | None:
        """Return a job's status document, or None if the service has no such job."""
        told = await self._ask(
            at(self.later.status_url, ticket), lambda answer: self._names(answer) == ticket
        )
        if told is None:
            return None
        if self._names(told) not in ("", ticket):
            raise ProviderError("The service's response is about another job.")
        if not word(told, self.later.status):
            raise ProviderError("The service's response has no status.")
        return told

    async def find(self, attempt_id: str) -> JsonObject | None:
        """Return the job that an attempt's request created, or None if none arrived."""
        address = self.later.find_url.replace(ATTEMPT, quote(attempt_id, safe=""))
        told = await self._ask(address, lambda answer: word(answer, "attempt") == attempt_id)
        if told is not None and word(told, "attempt") != attempt_id:
            raise ProviderError("The service's response is about another job.")
        return told

    async def cancel(self, ticket: str) -> bool:
        """Cancel a job; return whether it has stopped."""
        refused: SafelightError | None = None
        if self.later.cancel_url:
            answer = await self.api.ask(
                self.later.cancel_method,
                at(self.later.cancel_url, ticket),
                answer_s=self.answer_s,
            )
            if answer.is_success and answer.status != HTTPStatus.ACCEPTED:
                return True
            refused = None if answer.is_success else self.api.error(answer)
        if refused and not isinstance(refused, ProviderRejected | ProviderBadInput):
            raise refused
        # The job may already have ended, which only its status shows.
        told = await self.status(ticket)
        is_over = told is None or self.state(told) in self.later.done | self.later.failed
        if refused and not is_over:
            raise refused
        return is_over

    def state(self, told: JsonObject) -> str:
        return word(told, self.later.status).lower()

    def _names(self, told: JsonObject) -> str:
        return word(told, self.later.ticket)

    async def _ask(self, address: str, is_about: Callable[[JsonObject], bool]) -> JsonObject | None:
        """Return the service's document about a job, or None if there is no such job.

        None requires a 404 or 410 that names the job: any other may come from a wrong URL or a
        proxy.
        """
        answer = await self.api.ask(
            "GET", address, answer_s=self.answer_s, max_bytes=self.max_bytes
        )
        document = object_in(answer.body)
        if answer.status in _GONE and document is not None and is_about(document):
            return None
        if not answer.is_success:
            raise self.api.error(answer)
        if document is None:
            raise ProviderError("The service's response is not a JSON object.")
        return document


def at(template: str, ticket: str) -> str:
    """Return a URL with the ticket filled in."""
    return template.replace(TICKET, quote(ticket, safe=""))


def object_in(body: bytes) -> JsonObject | None:
    """Return the body if it is a JSON object, else None."""
    document = parse(body)
    return cast("JsonObject", document) if isinstance(document, dict) else None
