"""The peer's client of Replicate: starts a prediction, looks until it ends, keeps its picture."""

import time
from functools import cache

import httpx

_LOOK_S = 0.5
_DEADLINE_S = 60
_FINAL = {"succeeded", "failed", "canceled"}


@cache
def _client() -> httpx.Client:
    """Return this process's client, which keeps its connections open."""
    return httpx.Client(timeout=30, headers={"Authorization": "Bearer r8_stand_in"})


def make(base_url: str, prompt: str) -> bytes:
    """Return the picture that the vendor makes of `prompt`."""
    client = _client()
    begun = client.post(
        f"{base_url}/models/black-forest-labs/flux-schnell/predictions",
        json={"input": {"prompt": prompt}},
    )
    prediction = begun.raise_for_status().json()
    until = time.monotonic() + _DEADLINE_S
    while prediction["status"] not in _FINAL and time.monotonic() < until:
        looked = client.get(f"{base_url}/predictions/{prediction['id']}")
        prediction = looked.raise_for_status().json()
        if prediction["status"] not in _FINAL:
            time.sleep(_LOOK_S)  # noqa: TID251  what a synchronous client of a vendor does
    if prediction["status"] != "succeeded":
        raise RuntimeError(f"The prediction is {prediction['status']}.")
    return client.get(prediction["output"][0]).raise_for_status().content
