"""Profiles of the command line: whose file it is, and which server a command goes to."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from safelight.cli.failure import BadUse
from safelight.cli.profiles import chosen, kept
from safelight.cli.profiles.applied import applied
from safelight.cli.profiles.kept import Profile, Profiles
from safelight.settings import Settings

URL, KEY = "https://media.example", "sk_of_a_profile"
OTHER = Profile("https://other.example", "sk_of_the_other")
ENVIRONMENT = SecretStr("sk_of_the_environment")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two profiles, of which `home` is the current one."""
    found = tmp_path / "config" / "safelight"
    with kept.changing(found):
        kept.write(found, Profiles().with_one("other", OTHER).with_one("home", Profile(URL, KEY)))
    return found


@pytest.fixture
def named(request: pytest.FixtureRequest) -> Iterator[None]:
    """`--profile` with the name of the parameter."""
    token = chosen.PROFILE.set(request.param)
    yield
    chosen.PROFILE.reset(token)


def server_of(settings: Settings) -> tuple[str, str]:
    found = applied(settings)
    return found.url, found.api_key.get_secret_value()


def test_file_when_written_is_this_user_s_alone_and_shows_no_key(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    path = folder / "profiles.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {path.name for path in folder.iterdir()} == {"profiles.json", "profiles.lock"}
    assert KEY not in repr(kept.read(folder))


def test_file_when_others_may_read_it_is_refused_with_the_remedy(folder: Path) -> None:
    (folder / "profiles.json").chmod(0o640)
    with pytest.raises(BadUse, match="chmod 600"):
        kept.read(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"profiles": {"a": {"key": "sk_x"}}}', "\xff"])
def test_file_when_damaged_says_so_without_its_keys(folder: Path, text: str) -> None:
    (folder / "profiles.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadUse, match=r"profiles\.json") as refused:
        kept.read(folder)
    assert "sk_x" not in str(refused.value)


def test_file_when_not_there_has_no_profiles(tmp_path: Path) -> None:
    assert kept.read(tmp_path / "none") == Profiles()


def test_profile_when_removed_is_the_current_one_no_more(folder: Path) -> None:
    profiles = kept.read(folder)
    assert profiles.without("home").current == ""
    assert profiles.without("other").current == "home"
    with pytest.raises(BadUse, match="known: other, home"):
        profiles.without("nowhere")


def test_server_when_nothing_is_set_is_that_of_the_current_profile(folder: Path) -> None:
    assert server_of(Settings(config_dir=folder)) == (URL, KEY)


def test_server_when_the_environment_names_it_is_of_no_profile(
    folder: Path, tmp_path: Path
) -> None:
    explicit = Settings(config_dir=folder, url="https://a.example", profile="home")
    assert server_of(explicit) == ("https://a.example", "")
    assert server_of(Settings(config_dir=folder, data_dir=tmp_path)) == ("", "")
    with_key = Settings(config_dir=folder, api_key=ENVIRONMENT)
    assert server_of(with_key) == ("", ENVIRONMENT.get_secret_value()), "it goes to no other server"


def test_server_when_a_profile_is_named_is_its_own(folder: Path, tmp_path: Path) -> None:
    settings = Settings(config_dir=folder, profile="other", data_dir=tmp_path, api_key=ENVIRONMENT)
    assert server_of(settings) == (OTHER.url, OTHER.key)
    assert server_of(Settings(config_dir=folder, profile="local")) == ("", "")
    with pytest.raises(BadUse, match=r"'nowhere'.*home"):
        applied(Settings(config_dir=folder, profile="nowhere"))


@pytest.mark.parametrize("named", ["other"], indirect=True)
@pytest.mark.usefixtures("named")
def test_server_when_the_command_line_names_a_profile_is_its_own(folder: Path) -> None:
    assert server_of(Settings(config_dir=folder, profile="home")) == (OTHER.url, OTHER.key)
    with pytest.raises(BadUse, match="SAFELIGHT_URL and --profile"):
        applied(Settings(config_dir=folder, url="https://a.example"))
