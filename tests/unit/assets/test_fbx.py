"""Complete and damaged FBX files."""

from pathlib import Path

import pytest

from safelight.media.errors import MediaEmpty, MediaTruncated, MediaUnsupported
from safelight.media.models.check import fbx
from safelight.media.sniff import sniff
from tests.models import FBX


def test_check_when_a_file_is_whole_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "model.fbx"
    path.write_bytes(FBX)
    fbx.check(path)
    assert sniff(FBX) == fbx.MEDIA_TYPE


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", MediaEmpty),
        (FBX[:-1], MediaTruncated),
        (FBX[:27], MediaTruncated),
        (FBX.replace(b"\xe8\x1c\0\0", b"\x74\x17\0\0", 1), MediaUnsupported),
        (b"; FBX 7.3.0 project file\n", MediaUnsupported),
    ],
)
def test_check_when_a_file_is_not_is_refused(
    tmp_path: Path, content: bytes, error: type[Exception]
) -> None:
    path = tmp_path / "model.fbx"
    path.write_bytes(content)
    with pytest.raises(error):
        fbx.check(path)
