"""Builds the template variables of notices from public documents."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from safelight.json_object import JsonObject
from safelight.webhooks.endpoint import Endpoint

_PICTURES = 12
_FAILURES = 10
_NAME = 80
_SHORT_NAME = 40

_REASONS = {
    "gone": "it answered 410, which says that it wants nothing more",
    "failing": "for days it has only failed",
    "asked": "its account asked for it",
}
_HEADLINES = {
    "succeeded": "Done",
    "partial": "Done in part",
    "failed": "Failed",
    "canceled": "Canceled",
}


def of_job(job: Mapping[str, Any], base_url: str) -> JsonObject:
    """Return the variables for a job that has ended."""
    error: Mapping[str, Any] = job["error"] or {}
    name = _name_of(job)
    return {
        "id": job["id"],
        "kind": job["kind"].replace("_", " "),
        "model": job["model"],
        "status": job["status"],
        "name": name,
        "short_name": _cut(name, _SHORT_NAME),
        "title": error.get("title", ""),
        "reason": _reason(error),
        "page_url": f"{base_url}/#{job['id']}",
        **_pictures([job], len(job["outputs"])),
    }


def of_batch(batch: Mapping[str, Any], base_url: str) -> JsonObject:
    """Return the variables for a batch that has ended."""
    items: Sequence[Mapping[str, Any]] = batch["items"]
    jobs = [item["job"] for item in items if item["job"]]
    count = batch["counts"]["total"]
    name = batch["name"] or f"{count} {'picture' if count == 1 else 'pictures'}"
    return {
        "id": batch["id"],
        "name": _cut(name, _NAME),
        "short_name": _cut(name, _SHORT_NAME),
        "headline": _HEADLINES.get(batch["status"], "Finished"),
        "counts": batch["counts"],
        "page_url": f"{base_url}/#{batch['id']}",
        **_pictures(jobs, sum(len(job["outputs"]) for job in jobs)),
        **_failures(map(_failed_item, items), batch["counts"]["failed"]),
    }


def of_time(
    title: str,
    counts: Mapping[str, int],
    done: Sequence[Mapping[str, Any]],
    failed: Sequence[Mapping[str, Any]],
    data: Mapping[str, str],
) -> JsonObject:
    """Return the variables for a day or hour; `done` and `failed` are its newest jobs."""
    shown = {name: counts.get(name, 0) for name in ("succeeded", "failed", "canceled")}
    return {
        "title": title,
        "counts": shown,
        "since": _minutes(data["since"]),
        "until": _minutes(data["until"]),
        **_pictures(done, shown["succeeded"]),
        **_failures(
            ({"name": _name_of(job), "reason": _reason(job["error"] or {})} for job in failed),
            shown["failed"],
        ),
    }


def of_disabled(endpoint: Endpoint, event: Mapping[str, Any], base_url: str) -> JsonObject:
    """Return the variables for a webhook endpoint that was disabled."""
    return {
        "endpoint_url": endpoint.url,
        "page_url": f"{base_url}/#notifications",
        "reason": _REASONS.get(event["data"]["reason"], event["data"]["reason"]),
        "since": event["created_at"][:10],
    }


def _pictures(jobs: Iterable[Mapping[str, Any]], total: int) -> JsonObject:
    shown = [
        _picture(job, output)
        for job, output in islice(
            ((job, output) for job in jobs for output in job["outputs"]), _PICTURES
        )
    ]
    return {"pictures": shown, "more": max(total - len(shown), 0)}


def _picture(job: Mapping[str, Any], output: Mapping[str, Any]) -> JsonObject:
    # Signed URLs of private pictures would expire before the mail is read.
    is_public = output["visibility"] == "public"
    renditions: Mapping[str, Mapping[str, Any]] = output["renditions"]
    small = renditions.get("thumb") or renditions.get("preview")
    return {
        "name": _cut(output["name"] or _name_of(job), _SHORT_NAME),
        "url": output["url"] if is_public else None,
        "thumb": small.get("url") if small and is_public else None,
    }


def _failures(failed: Iterable[dict[str, str] | None], total: int) -> JsonObject:
    shown = list(islice(filter(None, failed), _FAILURES))
    return {"failed": shown, "failed_more": max(total - len(shown), 0)}


def _failed_item(item: Mapping[str, Any]) -> dict[str, str] | None:
    job: Mapping[str, Any] | None = item["job"]
    error = item["problem"] or (job["error"] if job else None)
    if not error:
        return None
    return {"name": _cut(item["name"] or f"Item {item['index']}", _NAME), "reason": _reason(error)}


def _reason(error: Mapping[str, Any]) -> str:
    parts = [error.get("title", ""), error.get("detail", "")]
    return ". ".join(part.rstrip(".") for part in parts if part) + "." if any(parts) else ""


def _name_of(job: Mapping[str, Any]) -> str:
    return _cut(job["name"] or job["prompt"] or job["source_url"] or job["id"], _NAME)


def _cut(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _minutes(time: str) -> str:
    return time[:16].replace("T", " ") + " UTC"
