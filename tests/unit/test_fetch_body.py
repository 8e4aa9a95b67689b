"""The growth limits of a download's writer."""

import gzip
import os
from pathlib import Path

import pytest

from safelight.fetch.body import BodyWriter
from safelight.fetch.errors import FetchError, FetchRefused, FetchTooLarge

MIB = 2**20


def write(to: Path, wire: bytes, *, max_bytes: int, encoding: str = "gzip") -> BodyWriter:
    with BodyWriter(to, max_bytes=max_bytes, encoding=encoding) as writer:
        for start in range(0, len(wire), 10_000):
            writer.write(wire[start : start + 10_000])
        writer.finish()
    return writer


def test_write_when_packed_tightly_but_within_reason_then_unpacks(tmp_path: Path) -> None:
    body = os.urandom(20_000) * 50  # 1 MB of which gzip leaves about a fiftieth
    writer = write(tmp_path / "f", gzip.compress(body), max_bytes=2 * MIB)
    assert (tmp_path / "f").read_bytes() == body
    assert writer.wire_bytes < writer.bytes == len(body)


def test_write_when_it_unpacks_to_too_much_then_stops_at_the_limit(tmp_path: Path) -> None:
    body = os.urandom(20_000) * 50
    packed = gzip.compress(body)
    limit = 500_000
    assert len(packed) < limit < len(body)
    with pytest.raises(FetchTooLarge, match="larger than 500000 bytes"):
        write(tmp_path / "f", packed, max_bytes=limit)
    assert not (tmp_path / "f").exists()


def test_write_when_packed_beyond_all_measure_then_stops_long_before_the_limit(
    tmp_path: Path,
) -> None:
    bomb = gzip.compress(bytes(64 * MIB))
    with (
        pytest.raises(FetchTooLarge, match="compression ratio"),
        BodyWriter(tmp_path / "f", max_bytes=100 * MIB, encoding="gzip") as writer,
    ):
        writer.write(bomb)
    assert writer.bytes < 8 * MIB
    assert not (tmp_path / "f").exists()


def test_write_when_a_bomb_follows_much_honest_data_then_the_ratio_still_counts(
    tmp_path: Path,
) -> None:
    packed = gzip.compress(os.urandom(50_000) + bytes(64 * MIB))
    with pytest.raises(FetchTooLarge, match="compression ratio"):
        write(tmp_path / "f", packed, max_bytes=100 * MIB)


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "gzip,br", "x"])
def test_write_when_the_encoding_was_not_asked_for_then_refuses(
    encoding: str, tmp_path: Path
) -> None:
    with pytest.raises(FetchRefused):
        write(tmp_path / "f", b"", max_bytes=MIB, encoding=encoding)
    assert not (tmp_path / "f").exists()


def test_write_when_damaged_or_cut_then_fails_for_now(tmp_path: Path) -> None:
    packed = gzip.compress(os.urandom(50_000))
    for wire in (b"junk" + packed, packed[:-10]):
        with pytest.raises(FetchError):
            write(tmp_path / "f", wire, max_bytes=MIB)
    assert not (tmp_path / "f").exists()
