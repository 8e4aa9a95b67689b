"""The SHA-256 of each object that an asset's row names. Pure."""

from collections.abc import Mapping
from typing import Any

from safelight.assets.keys import is_original

NAMING = ("key", "original_key", "sha256", "served_sha256", "renditions")
"""The columns that `of_row` reads."""


def of_row(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the checksum by key, empty where an earlier version recorded none."""
    found = {each["key"]: each.get("sha256") or "" for each in row["renditions"].values()}
    own = row["sha256"] if is_original(row["original_key"]) else ""
    found[row["original_key"]] = own
    if row["key"]:
        found[row["key"]] = row.get("served_sha256") or ""
    return found
