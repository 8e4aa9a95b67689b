"""The contract of all storage plugs, and the extras of buckets."""

import asyncio
import base64
import errno
import hashlib
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from safelight.errors import NotFound, StorageFull
from safelight.storage.bucket import BucketStorage
from safelight.storage.disk import DiskStorage
from safelight.storage.errors import StorageFailed
from safelight.storage.lifecycle import lifecycle_of
from safelight.storage.objects import typed_errors
from safelight.storage.open import open_storage
from safelight.storage.parted import PartedStorage
from safelight.storage.place import Place, parse_place
from safelight.storage.storage import Served, Storage
from tests import brokers, buckets
from tests.brokers import Broker
from tests.receivers import receiving
from tests.servers import free_port, wait_until_async
from tests.sites import respond, running

KEY = "images/job_1/abc.png"
CONTENT = bytes(range(256)) * 4096
LARGE = 21 * 2**20 + 7  # several parts of an upload, and several pieces of a download


def served(key: str) -> Served:
    """Say how the objects of these tests are sent."""
    kind = "image/png" if key.endswith(".png") else "application/octet-stream"
    return Served(kind, "public, max-age=60" if is_public(key) else "private")


def is_public(key: str) -> bool:
    return key.startswith("images/")


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with brokers.running(buckets.seaweed(tmp_path_factory.mktemp("seaweed"))) as server:
        yield server


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with brokers.running(brokers.sqs(tmp_path_factory.mktemp("moto"))) as server:
        yield server


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give what an operator gives: the usual variables, which nobody here reads but obstore."""
    for name, value in buckets.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(seaweed: Broker) -> str:
    """A new bucket of a server that checks signatures, as an operator names it."""
    return buckets.new_place(seaweed)


@pytest.fixture(params=["disk", "memory", "seaweed", "moto", "parted"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    match request.param:
        case "disk":
            return DiskStorage(tmp_path / "objects")
        case "memory":
            return BucketStorage(Place("memory"), served)
        case "parted":
            public = Place("file", folder=str(tmp_path / "public"))
            private = Place("file", folder=str(tmp_path / "private"))
            return open_storage(private, public, describe=served, is_public=is_public)
        case name:
            place = buckets.new_place(request.getfixturevalue(name))
            return BucketStorage(parse_place(place), served)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


async def _read(storage: Storage, start: int, end: int) -> bytes:
    return b"".join([chunk async for chunk in storage.read(KEY, start=start, end=end)])


async def test_put_when_done_can_be_read_in_whole_and_in_parts(
    storage: Storage, source: Path, tmp_path: Path
) -> None:
    await storage.put(KEY, source)
    assert (await storage.head(KEY)).bytes == len(CONTENT)
    assert await _read(storage, 0, len(CONTENT)) == CONTENT
    assert await _read(storage, 10, 20) == CONTENT[10:20]
    assert await _read(storage, len(CONTENT) - 1, len(CONTENT)) == CONTENT[-1:]
    assert await _read(storage, 5, 5) == b""
    await storage.copy_to(KEY, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == CONTENT


async def test_head_when_content_differs_gives_another_etag(
    storage: Storage, source: Path, tmp_path: Path
) -> None:
    await storage.put(KEY, source)
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    await storage.put("images/job_1/def.png", other)
    first, second = await storage.head(KEY), await storage.head("images/job_1/def.png")
    assert first.etag
    assert first.etag != second.etag


async def test_head_and_read_when_nothing_is_there_raise_not_found(storage: Storage) -> None:
    with pytest.raises(NotFound):
        await storage.head(KEY)
    with pytest.raises(NotFound):
        await _read(storage, 0, 1)


async def test_delete_when_called_twice_is_no_error(storage: Storage, source: Path) -> None:
    await storage.put(KEY, source)
    await storage.delete([KEY, "images/never/there.png"])
    await storage.delete([KEY])
    with pytest.raises(NotFound):
        await storage.head(KEY)


async def test_put_when_the_file_is_large_keeps_every_byte(
    storage: Storage, tmp_path: Path
) -> None:
    large, copy = tmp_path / "large", tmp_path / "copy"
    large.write_bytes((CONTENT * 22)[:LARGE])
    await storage.put(KEY, large)
    assert (await storage.head(KEY)).bytes == LARGE
    await storage.copy_to(KEY, copy)
    assert copy.read_bytes() == large.read_bytes()
    assert await _read(storage, LARGE - 9, LARGE) == large.read_bytes()[-9:]


async def test_all_when_asked_names_each_object_once(storage: Storage, source: Path) -> None:
    keys = {f"{folder}/job_{number}/x.png" for folder in ("images", "secret") for number in (1, 2)}
    await storage.check()  # leaves nothing that anybody sees
    before = datetime.now(UTC) - timedelta(seconds=5)
    for key in keys:
        await storage.put(key, source)
    found = [stored async for stored in storage.all()]
    assert sorted(stored.key for stored in found) == sorted(keys)
    assert {stored.bytes for stored in found} == {len(CONTENT)}
    assert all(stored.modified_at > before for stored in found)


async def test_delete_when_there_are_many_removes_all(storage: Storage, source: Path) -> None:
    keys = [f"images/job_{number}/x.png" for number in range(40)]
    await asyncio.gather(*(storage.put(key, source) for key in keys))
    await storage.delete(keys)
    assert [stored async for stored in storage.all()] == []


async def test_check_when_all_is_well_passes(storage: Storage) -> None:
    await storage.check()


async def test_put_when_given_bytes_keeps_them(storage: Storage) -> None:
    for key, data in ((KEY, b"some bytes"), ("images/job_1/empty.png", b"")):
        await storage.put(key, data)
        assert (await storage.head(key)).bytes == len(data)
        assert b"".join([part async for part in storage.read(key, start=0, end=len(data))]) == data
    assert len([each async for each in storage.all()]) == 2


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_put_when_bytes_do_not_fit_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = DiskStorage(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull):
        await storage.put(KEY, b"some bytes")
    assert not files_in(tmp_path)


async def test_put_when_the_source_is_missing_fails_and_leaves_nothing(
    storage: Storage, tmp_path: Path
) -> None:
    with pytest.raises((NotFound, StorageFailed)):
        await storage.put(KEY, tmp_path / "nowhere")
    with pytest.raises(NotFound):
        await storage.head(KEY)


def test_errors_when_the_disk_is_full_say_so() -> None:
    with pytest.raises(StorageFull), typed_errors(KEY):
        raise OSError(28, "No space left on device")
    with pytest.raises(StorageFailed), typed_errors(KEY):
        raise OSError(5, "Input/output error")


# --- in two places --------------------------------------------------------------------------------


async def test_parted_when_put_keeps_what_is_public_apart(source: Path, tmp_path: Path) -> None:
    places = [Place("file", folder=str(tmp_path / name)) for name in ("private", "public")]
    parted = open_storage(*places, describe=served, is_public=is_public)
    assert isinstance(parted, PartedStorage)
    for key in (KEY, "originals/acc_1/abc"):
        await parted.put(key, source)
    assert (tmp_path / "public" / KEY).exists()
    assert (tmp_path / "private/originals/acc_1/abc").exists()
    assert not (tmp_path / "private" / KEY).exists()


def test_open_when_both_places_are_one_has_one(tmp_path: Path) -> None:
    place = Place("file", folder=str(tmp_path))
    opened = open_storage(place, place, describe=served, is_public=is_public)
    assert isinstance(opened, DiskStorage)


# --- in a bucket ----------------------------------------------------------------------------------


async def test_address_when_in_a_bucket_is_had_by_anybody_for_a_while(
    bucket: str, source: Path
) -> None:
    storage = BucketStorage(parse_place(bucket), served)
    await storage.put(KEY, source)
    address = await storage.address(KEY, lifetime=timedelta(minutes=1))
    assert address
    async with httpx2.AsyncClient() as http:
        got = await http.get(address)
        plain = await http.get(address.partition("?")[0])
        forged = await http.get(address.replace("abc.png", "abd.png"))
    assert (got.status_code, got.content) == (200, CONTENT)
    assert got.headers["content-type"] == "image/png"
    assert got.headers["cache-control"] == "public, max-age=60"
    assert plain.status_code == 403
    assert forged.status_code == 403


async def test_address_when_its_time_is_over_is_refused(bucket: str, source: Path) -> None:
    storage = BucketStorage(parse_place(bucket), served)
    await storage.put(KEY, source)
    address = await storage.address(KEY, lifetime=timedelta(seconds=1))
    assert address
    async with httpx2.AsyncClient() as http:

        async def refused() -> bool:
            return (await http.get(address)).status_code == 403

        await wait_until_async(refused)


async def test_address_when_on_a_disk_is_none(source: Path, tmp_path: Path) -> None:
    storage = DiskStorage(tmp_path / "objects")
    await storage.put(KEY, source)
    assert await storage.address(KEY, lifetime=timedelta(minutes=1)) is None


async def test_put_when_a_key_of_kms_is_named_is_encrypted_by_it(
    moto: Broker, source: Path, tmp_path: Path
) -> None:
    key = buckets.client(moto, "kms").create_key()["KeyMetadata"]["Arn"]
    place = parse_place(f"{buckets.new_place(moto)}&kms_key={key}&storage_class=STANDARD_IA")
    storage = BucketStorage(place, served)
    large = tmp_path / "large"
    large.write_bytes((CONTENT * 22)[:LARGE])
    await storage.put(KEY, source)
    await storage.put("originals/large", large)
    for kept in (KEY, "originals/large"):
        name = f"{place.folder}/{kept}"
        head = buckets.client(moto).head_object(Bucket=buckets.BUCKET, Key=name)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)
        assert head["StorageClass"] == "STANDARD_IA"


async def test_put_when_sent_says_how_it_is_to_be_kept(source: Path) -> None:
    async with receiving() as receiver:
        receiver.usual = '200 OK\r\nETag: "1"'
        options = "kms_key=arn:aws:kms:eu:1:key/2&bucket_key=true&region=eu-central-1"
        endpoint = f"endpoint=http://127.0.0.1:{receiver.port}"
        place = parse_place(f"s3://kept/folder?{options}&{endpoint}")
        await BucketStorage(place, served).put(KEY, source)
        (sent,) = receiver.got
    assert sent.path == f"/kept/folder/{KEY}"
    assert sent.body == CONTENT
    digest = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
    assert sent.headers["x-amz-checksum-sha256"] == digest
    assert sent.headers["x-amz-server-side-encryption"] == "aws:kms"
    assert sent.headers["x-amz-server-side-encryption-aws-kms-key-id"] == "arn:aws:kms:eu:1:key/2"
    assert sent.headers["x-amz-server-side-encryption-bucket-key-enabled"] == "true"
    assert sent.headers["content-type"] == "image/png"


@pytest.mark.parametrize("wrong", ["secret", "server"])
async def test_storage_when_the_bucket_cannot_be_used_says_so(
    wrong: str, bucket: str, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if wrong == "secret":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    else:
        bucket = f"s3://some/where?endpoint=http://127.0.0.1:{free_port()}"
    storage = BucketStorage(parse_place(bucket), served)
    async with asyncio.timeout(30):
        with pytest.raises(StorageFailed):
            await storage.head(KEY)
        with pytest.raises(StorageFailed):
            await storage.check()
        with pytest.raises(StorageFailed):
            await storage.put(KEY, source)


async def test_storage_when_there_is_no_such_bucket_says_so(moto: Broker, source: Path) -> None:
    place = buckets.new_place(moto).replace("s3://", "s3://no-such-")
    storage = BucketStorage(parse_place(place), served)
    with pytest.raises(StorageFailed, match=r"404 NoSuchBucket\. Create the bucket"):
        await storage.check()
    with pytest.raises(StorageFailed, match="NoSuchBucket"):
        await storage.put(KEY, source)


async def test_read_when_the_server_stalls_ends_by_its_deadline_and_goes_on_later(
    seaweed: Broker, bucket: str, source: Path
) -> None:
    storage = BucketStorage(parse_place(bucket), served, patience=timedelta(seconds=1))
    await storage.put(KEY, source)
    with seaweed.suspended():
        async with asyncio.timeout(30):
            with pytest.raises(StorageFailed):
                await storage.head(KEY)
    assert (await storage.head(KEY)).bytes == len(CONTENT)


def test_lifecycle_when_given_to_a_bucket_is_taken(moto: Broker) -> None:
    place = parse_place(buckets.new_place(moto))
    rules = lifecycle_of(place, originals="originals/", cool_after_days=60)
    s3 = buckets.client(moto)
    s3.put_bucket_lifecycle_configuration(Bucket=buckets.BUCKET, LifecycleConfiguration=rules)
    there = s3.get_bucket_lifecycle_configuration(Bucket=buckets.BUCKET)["Rules"]
    assert [each["ID"] for each in there] == ["safelight-clear", "safelight-originals"]


async def test_put_when_the_store_is_out_for_many_jobs_then_is_asked_by_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    file = tmp_path / "file"
    file.write_bytes(b"x")
    refusal = b"<Error><Code>NotImplemented</Code></Error>"
    answers = {"/bucket/k.png": respond(refusal, "501 Not Implemented", Connection="close")}
    async with running(answers) as site:
        place = f"s3://bucket?endpoint=http://127.0.0.1:{site.port}"
        storage = BucketStorage(parse_place(place), served)
        until = time.monotonic() + 3

        async def job() -> str:
            detail = ""
            while time.monotonic() < until:
                try:
                    await storage.put("k.png", file)
                except StorageFailed as error:
                    detail = f"{error.detail} {error.retry_after}"
                    await asyncio.sleep(0.05)
            return detail

        details = await asyncio.gather(*(job() for _ in range(10)))
    # All at once, then one by one after 1 and 2 s; each with two retries.
    assert 10 <= len(site.requests) <= 3 * (10 + 3)
    for words in ("501 NotImplemented", "checksum=none", "0:00:0"):
        assert all(words in detail for detail in details)
