"""Rules for buckets: what they clear, and that they never touch what a row names."""

from typing import Any

import pytest

from safelight.storage.lifecycle import lifecycle_of
from safelight.storage.place import parse_place


def rules(text: str, cool_after_days: int | None = None) -> dict[str, Any]:
    place = parse_place(text)
    return lifecycle_of(place, originals="originals/", cool_after_days=cool_after_days)


def test_rules_when_for_s3_clear_uploads_and_old_versions_in_that_folder() -> None:
    (clear,) = rules("s3://kept/a/b")["Rules"]
    assert clear["Filter"] == {"Prefix": "a/b/"}
    assert clear["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
    assert clear["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert "Expiration" not in clear, "what a row names stays"


def test_rules_when_originals_are_to_cool_move_them_alone() -> None:
    _, cool = rules("s3://kept", 60)["Rules"]
    assert cool["Filter"] == {"Prefix": "originals/"}
    assert cool["Transitions"] == [{"Days": 60, "StorageClass": "STANDARD_IA"}]


def test_rules_when_for_google_delete_only_what_is_no_longer_current() -> None:
    found = rules("gs://kept/a", 60)["rule"]
    deleting = [each for each in found if each["action"]["type"] == "Delete"]
    assert deleting == [
        {
            "action": {"type": "Delete"},
            "condition": {"daysSinceNoncurrentTime": 30, "matchesPrefix": ["a/"]},
        }
    ]
    assert found[-1]["condition"] == {"age": 60, "matchesPrefix": ["a/originals/"]}


def test_rules_when_for_azure_name_the_container_too() -> None:
    clear, cool = rules("az://box/a", 60)["rules"]
    assert clear["definition"]["filters"]["prefixMatch"] == ["box/a/"]
    assert "baseBlob" not in clear["definition"]["actions"]
    assert cool["definition"]["filters"]["prefixMatch"] == ["box/a/originals/"]


def test_rules_when_for_a_disk_are_none() -> None:
    with pytest.raises(ValueError, match="Only buckets"):
        rules("file:///srv")
