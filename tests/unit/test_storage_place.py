"""Places of storage as operators write them."""

from pathlib import Path

import pytest

from safelight.storage.place import Place, parse_place


def test_place_when_on_a_disk_is_a_whole_folder() -> None:
    place = parse_place("file:///srv/my%20files")
    assert place == Place("file", folder="/srv/my files")
    assert place.path == Path("/srv/my files")


def test_place_when_in_s3_has_a_bucket_a_folder_and_checksums() -> None:
    place = parse_place("s3://kept/a/b/?region=eu-central-1")
    assert (place.scheme, place.bucket, place.folder) == ("s3", "kept", "a/b")
    assert place.config == {"region": "eu-central-1", "checksum_algorithm": "SHA256"}


def test_place_when_a_key_is_named_is_encrypted_by_kms() -> None:
    arn = "arn:aws:kms:eu-central-1:123456789012:key/1234"
    config = parse_place(f"s3://kept?kms_key={arn}&bucket_key=true&checksum=none").config
    assert config == {
        "sse_kms_key_id": arn,
        "sse_bucket_key_enabled": "true",
        "server_side_encryption": "aws:kms",
    }
    twice = parse_place(f"s3://kept?kms_key={arn}&encryption=aws:kms:dsse").config
    assert twice["server_side_encryption"] == "aws:kms:dsse"


def test_place_when_elsewhere_has_that_clouds_options() -> None:
    assert parse_place("gs://kept/x?storage_class=NEARLINE").storage_class == "NEARLINE"
    azure = parse_place("az://box/x?account=mine")
    assert (azure.bucket, azure.config) == ("box", {"account_name": "mine"})


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "give `file:"),
        ("/srv/files", "give `file:"),
        ("ftp://host/x", "give `file:"),
        ("s3://", "give `file:"),
        ("s3:///folder", "give `file:"),
        ("s3://kept#part", "give `file:"),
        ("file://host/folder", "absolute"),
        ("file:folder", "absolute"),
        ("file:///folder?x=1", "absolute"),
        ("s3://key:secret@kept", "credentials"),
        ("s3://kept?colour=red", "unknown"),
        ("s3://kept?region=a&region=b", "repeated"),
        ("s3://kept?region=", "cannot be"),
        ("s3://kept?endpoint=minio.example.com", "cannot be"),
        ("s3://kept?endpoint=http://key:secret@minio", "cannot be"),
        ("s3://kept?bucket_key=yes", "cannot be"),
        ("s3://kept?checksum=MD5", "cannot be"),
        ("s3://kept?region", "bad query field"),
        ("gs://kept?region=eu", "unknown"),
    ],
)
def test_place_when_it_cannot_be_understood_says_why(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        parse_place(text)
