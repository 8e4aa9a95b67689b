"""Converts a GPU process's answer to files with their facts, or to one of our errors."""

from safelight.cpu import OutOfResources
from safelight.errors import SafelightError
from safelight.json_object import JsonObject
from safelight.providers.errors import (
    ProviderBadInput,
    ProviderError,
    ProviderRefused,
    ProviderRejected,
)
from safelight.providers.local.diffusers.messages import Answer, Failed, Finished, Order, Ready
from safelight.providers.local.diffusers.models import LocalModel
from safelight.providers.price import Usage
from safelight.providers.provider import Done, MediaFile

_MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


def done(answer: Answer, order: Order, model: LocalModel, versions: Ready) -> Done:
    """Return the outputs, or raise the process's error."""
    if isinstance(answer, Failed):
        raise error_of(answer)
    shared = _shared(answer, order, model)
    outputs = tuple(
        MediaFile(
            picture.path,
            _MEDIA_TYPES[order.format],
            facts={"seed": picture.seed, **shared},
        )
        for picture in answer.pictures
    )
    facts = {
        "load_s": answer.load_s,
        "run_s": answer.run_s,
        "torch": versions.torch,
        "diffusers": versions.diffusers,
    }
    return Done(outputs, facts=facts, usage=Usage(seconds=answer.load_s + answer.run_s))


def error_of(failed: Failed) -> SafelightError:
    """Return our error for a failed order."""
    match failed.code:
        case "bad_input":
            return ProviderBadInput(failed.message)
        case "content_refused":
            return ProviderRefused(failed.message, categories=[])
        case "unloadable":
            return ProviderRejected(failed.message, reason="unloadable")
        case "memory" if failed.facts.get("alone"):
            return ProviderRejected(
                "The device has too little memory for this: request smaller pictures.",
                reason="out_of_memory",
            )
        case "memory":
            # Other warm models have been unloaded by now.
            return OutOfResources(failed.message)
        case "failed" | "canceled":
            return ProviderError(failed.message)


def _shared(answer: Finished, order: Order, model: LocalModel) -> JsonObject:
    """Return the facts that all pictures of an order share."""
    facts: JsonObject = {
        "model": str(model.source) if isinstance(model.source, str) else model.id,
        "revision": model.version,
        "steps": order.steps,
        "guidance": order.guidance,
        "scheduler": order.scheduler or answer.scheduler,
    }
    if order.lora:
        facts |= {"lora": order.lora.name, "lora_weight": order.lora.weight}
    if order.picture:
        facts["strength"] = order.strength
    return facts
