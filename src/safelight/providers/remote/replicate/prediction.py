"""Parses a prediction from a response or webhook: status, progress, files."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self, cast

import orjson

from safelight.json_object import JsonObject, as_object
from safelight.providers.errors import ProviderError, ProviderRefused, ProviderRejected
from safelight.providers.price import Usage
from safelight.providers.remote.adoption import time_of
from safelight.providers.remote.replicate.reference import Reference
from safelight.providers.remote.replicate.refusal import clean, failure, moderation
from safelight.providers.remote.untrusted import parse

_TICKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", re.ASCII)
_ADDRESS = re.compile(r"https?://\S{1,4000}")
_DATA = re.compile(r"data:[\w.+-]{1,60}/[\w.+-]{1,60}(?:;[\w.+=-]{1,60}){0,4};base64,", re.ASCII)
_BAR = re.compile(r"([0-9]{1,3})%\|", re.ASCII)
_SEED = re.compile(r"\b[Ss]eed:? ?=? ?([0-9]{1,18})\b", re.ASCII)

_SUCCEEDED = "succeeded"
_FAILED = "failed"
_ABORTED = "aborted"
_CANCELED = frozenset({"canceled", "cancelled", _ABORTED})
_FINAL = frozenset({_SUCCEEDED, _FAILED, *_CANCELED})
_WAITING = "waiting for the provider"
_STAGES: Mapping[str, str] = {"starting": "starting at the provider", "processing": "processing"}

_LOG_CHARS = 8192  # from each end of the logs
_MAX_STAGE = 50
_MAX_NODES = 10_000
_MAX_FILES = 64


@dataclass(frozen=True, slots=True)
class Prediction:
    """One prediction. Its document is untrusted: any field may be missing or mistyped."""

    told: Mapping[str, Any]
    id: str

    @classmethod
    def read(cls, document: object) -> Self | None:
        """Parse `document`; None if it is no prediction."""
        told = as_object(document)
        ticket = told.get("id")
        return cls(told, ticket) if isinstance(ticket, str) and is_ticket(ticket) else None

    @classmethod
    def heard(cls, news: bytes | None, ticket: str) -> Self | None:
        """Return the callback's prediction if it reports the end of this one."""
        found = cls.read(parse(news)) if news else None
        return found if found and found.id == ticket and found.has_ended else None

    @property
    def status(self) -> str:
        return self._text("status").strip().lower()

    @property
    def has_ended(self) -> bool:
        """Whether it is final; unknown final statuses are recognized by their end time."""
        return self.status in _FINAL or bool(self.told.get("completed_at"))

    @property
    def stage(self) -> str:
        """The current stage, for display."""
        return _STAGES.get(self.status) or clean(self.status)[:_MAX_STAGE] or _WAITING

    @property
    def progress(self) -> float | None:
        """The percentage of the last progress bar in the logs."""
        shown = _BAR.findall(self._text("logs")[-_LOG_CHARS:])
        percent = int(shown[-1]) if shown else None
        return percent if percent is not None and percent <= 100 else None  # noqa: PLR2004

    @property
    def usage(self) -> Usage:
        """The run time of the model, which is billed even if the work failed."""
        return Usage(seconds=self._seconds)

    @property
    def cost_micros(self) -> int | None:
        """0 if the prediction never started, which Replicate does not charge.

        https://replicate.com/docs/topics/predictions/lifecycle
        """
        return 0 if self.status == _ABORTED else None

    @property
    def created_at(self) -> datetime | None:
        return time_of(self.told.get("created_at"))

    def is_of(self, reference: Reference) -> bool:
        """Return whether it belongs to that model, as far as it says."""
        if reference.version:
            return self._text("version") == reference.version
        name = f"{reference.owner}/{reference.name}"
        # The model behind a deployment has another name.
        return self._text("deployment" if reference.is_deployment else "model") == name

    def facts(self) -> JsonObject:
        """Return the metadata to store with the result."""
        seed = _SEED.search(self._text("logs")[:_LOG_CHARS])
        known = {
            "prediction": self.id,
            "model": clean(self._text("model")),
            "version": clean(self._text("version")),
            "predict_time": self._seconds,
            "total_time": _seconds(self._metrics.get("total_time")),
            "seed": int(seed[1]) if seed else None,
        }
        return {name: value for name, value in known.items() if value not in (None, "")}

    def verdict(self) -> ProviderError | None:
        """Return why the work failed; None if it succeeded or is still running."""
        if not self.has_ended:
            return None
        if self.status != _SUCCEEDED:
            return self._failure()
        return None if self.addresses() else self._emptiness()

    def addresses(self) -> list[str]:
        """Return the result URLs, in order."""
        return files_in(self.told.get("output"))

    def _failure(self) -> ProviderError:
        if self.status in _CANCELED:
            return ProviderRejected("The work was canceled at the provider.")
        error = self.told.get("error")
        text = error if isinstance(error, str) else ""
        if error and not text:
            text = orjson.dumps(error).decode()
        if self.status == _FAILED or text:
            return failure(text)
        return ProviderRejected(f"The provider reports the status {self.stage}.")

    def _emptiness(self) -> ProviderError:
        if self.told.get("data_removed") and self.told.get("output") is None:
            return ProviderRejected(
                "The provider has removed the result, as it does an hour after the work."
            )
        # Some models omit a refused picture and only log it.
        if categories := moderation(self._text("logs")[-_LOG_CHARS // 4 :]):
            return ProviderRefused("The provider withheld the result.", categories=categories)
        return ProviderRejected("The provider finished without a file.")

    @property
    def _seconds(self) -> float | None:
        return _seconds(self._metrics.get("predict_time"))

    @property
    def _metrics(self) -> Mapping[str, Any]:
        return as_object(self.told.get("metrics"))

    def _text(self, name: str) -> str:
        value = self.told.get(name)
        return value if isinstance(value, str) else ""


def is_ticket(text: str) -> bool:
    """Return whether `text` is a valid prediction id, which is put into URLs."""
    return bool(_TICKET.fullmatch(text))


def files_in(output: object) -> list[str]:
    """Return the URLs and data URIs in an output of any shape, in order."""
    found: list[str] = []
    waiting = [output]
    for _ in range(_MAX_NODES):
        if not waiting or len(found) == _MAX_FILES:
            break
        value = waiting.pop()
        if isinstance(value, str):
            if _ADDRESS.fullmatch(value) or _DATA.match(value):
                found.append(value)
        elif isinstance(value, list):
            waiting.extend(reversed(cast("list[object]", value)))
        elif isinstance(value, dict):
            waiting.extend(reversed(cast("dict[str, object]", value).values()))
    return found


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None
