"""Each of a job's inputs goes into the one field of a Replicate model that is meant for it."""

from pathlib import Path

import pytest

from safelight.providers.errors import ProviderBadInput
from safelight.providers.provider import InputFile, Role
from safelight.providers.remote.replicate.fields import Fields
from safelight.providers.remote.replicate.pictures import place, stand_ins

VIEWS = {Role.FRONT: "front", Role.BACK: "back"}


def files(tmp_path: Path, *roles: Role) -> tuple[InputFile, ...]:
    made: list[InputFile] = []
    for number, role in enumerate(roles):
        path = tmp_path / f"{number}.png"
        path.write_bytes(b"x")
        made.append(InputFile(path, "image/png", role=role))
    return tuple(made)


@pytest.mark.parametrize(
    ("fields", "roles", "taken"),
    [
        (Fields(pictures=("a", "b")), (Role.REFERENCE,), ["a"]),
        (Fields(pictures=("a", "b")), (Role.REFERENCE, Role.REFERENCE), ["a", "b"]),
        (Fields(pictures=("a",), many="all"), (Role.REFERENCE,), ["a"]),
        (Fields(pictures=("a",), many="all"), (Role.REFERENCE, Role.REFERENCE), ["all", "all"]),
        (Fields(many="all"), (Role.BACK, Role.FRONT), ["all", "all"]),
        (Fields(pictures=("a",), mask="m"), (Role.MASK, Role.REFERENCE), ["m", "a"]),
        (Fields(views=VIEWS), (Role.BACK, Role.FRONT), ["back", "front"]),
        (Fields(views=VIEWS), (Role.REFERENCE,), ["front"]),
        (Fields(views=VIEWS), (Role.FRONT, Role.REFERENCE), ["front", "back"]),
    ],
)
def test_place_when_inputs_fit_gives_each_its_field(
    tmp_path: Path, fields: Fields, roles: tuple[Role, ...], taken: list[str]
) -> None:
    placed = place(files(tmp_path, *roles), fields)
    assert [one.field for one in placed] == taken
    assert all(one.in_list == (one.field == "all") for one in placed)
    shown = stand_ins(placed)
    assert set(shown) == set(taken)
    assert isinstance(shown.get("all", []), list)


@pytest.mark.parametrize(
    ("fields", "roles"),
    [
        (Fields(), (Role.REFERENCE,)),
        (Fields(pictures=("a",)), (Role.REFERENCE, Role.REFERENCE)),
        (Fields(pictures=("a",)), (Role.REFERENCE, Role.MASK)),
        (Fields(mask="m"), (Role.MASK, Role.MASK)),
        (Fields(views=VIEWS), (Role.FRONT, Role.BACK, Role.REFERENCE)),
        (Fields(many="all"), (Role.MASK,)),
    ],
)
def test_place_when_there_is_no_field_for_an_input_is_refused(
    tmp_path: Path, fields: Fields, roles: tuple[Role, ...]
) -> None:
    with pytest.raises(ProviderBadInput):
        place(files(tmp_path, *roles), fields)


def test_place_when_an_input_is_too_large_to_upload_is_refused(tmp_path: Path) -> None:
    (file,) = files(tmp_path, Role.REFERENCE)
    with file.path.open("r+b") as handle:
        handle.truncate(100 * 2**20 + 1)  # a hole, which takes no room on the disk
    with pytest.raises(ProviderBadInput, match="bytes"):
        place((file,), Fields(pictures=("a",)))
