"""Generates a bucket's lifecycle rules in its cloud's own format."""

from safelight.json_object import JsonObject
from safelight.storage.place import Place

_UPLOAD_DAYS = 2  # after which incomplete uploads are aborted
_OLD_VERSION_DAYS = 30  # that a versioned bucket keeps removed objects
_COOL = {"s3": "STANDARD_IA", "gs": "NEARLINE"}


def lifecycle_of(place: Place, *, originals: str, cool_after_days: int | None) -> JsonObject:
    """Return lifecycle rules for the bucket of `place`; they never remove an object in use.

    Objects with the prefix `originals` move to a cheaper class after `cool_after_days`. Raises
    `ValueError` if the place is not a bucket.
    """
    prefix = f"{place.folder}/" if place.folder else ""
    match place.scheme:
        case "s3":
            return {"Rules": _s3(prefix, f"{prefix}{originals}", cool_after_days)}
        case "gs":
            return {"rule": _gs(prefix, f"{prefix}{originals}", cool_after_days)}
        case "az":
            return {"rules": _az(f"{place.bucket}/{prefix}", originals, cool_after_days)}
        case _:
            raise ValueError("Only buckets have lifecycle rules; a disk needs none.")


def _s3(prefix: str, originals: str, cool_after_days: int | None) -> list[JsonObject]:
    clear: JsonObject = {
        "ID": "safelight-clear",
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _UPLOAD_DAYS},
        "NoncurrentVersionExpiration": {"NoncurrentDays": _OLD_VERSION_DAYS},
    }
    if cool_after_days is None:
        return [clear]
    cool: JsonObject = {
        "ID": "safelight-originals",
        "Status": "Enabled",
        "Filter": {"Prefix": originals},
        "Transitions": [{"Days": cool_after_days, "StorageClass": _COOL["s3"]}],
    }
    return [clear, cool]


def _gs(prefix: str, originals: str, cool_after_days: int | None) -> list[JsonObject]:
    within = {"matchesPrefix": [prefix]} if prefix else {}
    rules: list[JsonObject] = [
        {
            "action": {"type": "AbortIncompleteMultipartUpload"},
            "condition": {"age": _UPLOAD_DAYS, **within},
        },
        {
            "action": {"type": "Delete"},
            "condition": {"daysSinceNoncurrentTime": _OLD_VERSION_DAYS, **within},
        },
    ]
    if cool_after_days is not None:
        rules.append(
            {
                "action": {"type": "SetStorageClass", "storageClass": _COOL["gs"]},
                "condition": {"age": cool_after_days, "matchesPrefix": [originals]},
            }
        )
    return rules


def _az(prefix: str, originals: str, cool_after_days: int | None) -> list[JsonObject]:
    # Azure discards incomplete uploads after a week on its own.
    after = "daysAfterCreationGreaterThan"
    rules = [_az_rule("clear", prefix, {"version": {"delete": {after: _OLD_VERSION_DAYS}}})]
    if cool_after_days is not None:
        cool = {"baseBlob": {"tierToCool": {"daysAfterModificationGreaterThan": cool_after_days}}}
        rules.append(_az_rule("originals", f"{prefix}{originals}", cool))
    return rules


def _az_rule(name: str, prefix: str, actions: JsonObject) -> JsonObject:
    filters = {"blobTypes": ["blockBlob"], "prefixMatch": [prefix]}
    definition = {"actions": actions, "filters": filters}
    return {
        "enabled": True,
        "name": f"safelight-{name}",
        "type": "Lifecycle",
        "definition": definition,
    }
