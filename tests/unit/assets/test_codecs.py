"""Which decoders have a known hole."""

import pytest

from safelight.media.pictures import codecs


def test_versions_when_read_name_libvips_and_are_without_holes() -> None:
    found = codecs.versions()
    assert found["libvips"].count(".") == 2
    assert codecs.holes() == [], "install newer packages"


@pytest.mark.parametrize("name", codecs.HOLES)
def test_judge_when_a_version_is_older_than_its_mend_says_which_is_needed(name: str) -> None:
    mended, hole = codecs.HOLES[name]
    assert codecs.judge({name: mended}) == []
    assert codecs.judge({name: "0.9.10"}) == [f"{name} 0.9.10 has {hole}: {mended} mends it"]
