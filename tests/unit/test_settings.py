"""Mistakes in settings: each is told in one line with the setting's name before a start."""

import subprocess
import sys
from pathlib import Path

import pytest

from safelight.cli.environment import read_settings
from safelight.cli.failure import BadUse
from safelight.configured import database_url, mask_network, vendors
from safelight.errors import SettingInvalid
from safelight.settings import Settings
from safelight.settings.names import unknown_names
from safelight.settings.secret_files import secret_names

PUBLIC = {"SAFELIGHT_PUBLIC_URL": "https://media.example.com"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in read_settings().environment:
        if name.startswith("SAFELIGHT_"):
            monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"SAFELIGHT_PORTT": "1"}, "SAFELIGHT_PORTT: .*did you mean SAFELIGHT_PORT"),
        (
            {"SAFELIGHT_FETCH_ALOW_PRIVATE": "1"},
            "SAFELIGHT_FETCH_ALOW_PRIVATE: .*did you mean SAFELIGHT_FETCH_ALLOW_PRIVATE",
        ),
        ({"SAFELIGHT_XYZZY": "1"}, "SAFELIGHT_XYZZY: .*docs/settings.md"),
        ({"SAFELIGHT_PUBLIC_URL": "media.example.com"}, "SAFELIGHT_PUBLIC_URL: .*https://"),
        ({"SAFELIGHT_PUBLIC_URL": "ftp://media.example.com"}, "SAFELIGHT_PUBLIC_URL: "),
        ({"SAFELIGHT_PUBLIC_URL": "https://"}, "SAFELIGHT_PUBLIC_URL: "),
        ({"SAFELIGHT_PUBLIC_URL": "https://x:99999"}, "SAFELIGHT_PUBLIC_URL: "),
        ({"SAFELIGHT_PUBLIC_URL": "https://x/?a=1"}, "SAFELIGHT_PUBLIC_URL: "),
        ({"SAFELIGHT_PUBLIC_URL": "https://me:pw@x"}, "SAFELIGHT_PUBLIC_URL: leave user"),
        ({"SAFELIGHT_FILES_URL": "cdn.example.com"}, "SAFELIGHT_FILES_URL: "),
        ({"SAFELIGHT_CORS_ORIGINS": "*"}, "SAFELIGHT_CORS_ORIGINS: "),
        ({"SAFELIGHT_CORS_ORIGINS": "https://a.example/"}, "CORS_ORIGINS: .*is no origin"),
        ({"SAFELIGHT_CORS_ORIGINS": "https://*.example"}, "CORS_ORIGINS: .*is no origin"),
        ({"SAFELIGHT_URL": "localhost:8765"}, "SAFELIGHT_URL: "),
        ({"SAFELIGHT_OPENAI_BASE_URL": "api.example.com"}, "SAFELIGHT_OPENAI_BASE_URL: "),
        ({"SAFELIGHT_FETCH_ALLOW_NETWORKS": "0.0.0.0/0"}, "ALLOW_NETWORKS: .*opens far more"),
        ({"SAFELIGHT_FETCH_ALLOW_NETWORKS": "10.0.0.0/8,::/0"}, "ALLOW_NETWORKS: .*opens far"),
        ({"SAFELIGHT_FETCH_ALLOW_NETWORKS": "128.0.0.0/1"}, "ALLOW_NETWORKS: .*opens far"),
        ({"SAFELIGHT_FETCH_PORTS": "80,99999"}, "SAFELIGHT_FETCH_PORTS: "),
        (PUBLIC | {"SAFELIGHT_FAKE_PROVIDER": "1"}, "SAFELIGHT_FAKE_PROVIDER is for tests"),
        (PUBLIC | {"SAFELIGHT_FETCH_ALLOW_PRIVATE": "1"}, "SAFELIGHT_FETCH_ALLOW_NETWORKS"),
        ({"SAFELIGHT_INFLATE_SALIENCY_MODEL": "none.onnx"}, "SALIENCY_MODEL: there is no file"),
        ({"SAFELIGHT_CATALOGUE": "none.toml"}, "SAFELIGHT_CATALOGUE: there is no file"),
        ({"SAFELIGHT_MAIL_TEMPLATES": "none"}, "SAFELIGHT_MAIL_TEMPLATES: there is no folder"),
        ({"SAFELIGHT_CLOUDFRONT_KEY": "none.pem"}, "SAFELIGHT_CLOUDFRONT_KEY: there is no file"),
        ({"SAFELIGHT_MAIL_FROM": "Safelight"}, "SAFELIGHT_MAIL_FROM: "),
        ({"SAFELIGHT_MAIL_FROM": "a@b@c"}, "SAFELIGHT_MAIL_FROM: "),
        ({"SAFELIGHT_MAIL_URL": "smtp://h"}, "SAFELIGHT_MAIL_URL needs SAFELIGHT_MAIL_FROM"),
        (
            {"SAFELIGHT_SAGEMAKER_REGION": "eu-west-1"},
            "SAFELIGHT_SAGEMAKER_REGION needs SAFELIGHT_SAGEMAKER_ENDPOINTS",
        ),
    ],
    ids=lambda value: next(iter(value.values()))[:30] if isinstance(value, dict) else "",
)
def test_setting_when_mistaken_is_named_with_a_remedy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], told: str
) -> None:
    del folder
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadUse, match=told) as caught:
        read_settings()
    assert "\n" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_settings_when_they_are_safe_in_public_are_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del folder
    for url in ("http://127.0.0.1:8765", "http://[::1]:8765", "http://localhost", "https://a.test"):
        monkeypatch.setenv("SAFELIGHT_PUBLIC_URL", url)
        monkeypatch.setenv("SAFELIGHT_FAKE_PROVIDER", "1")
        monkeypatch.setenv("SAFELIGHT_FETCH_ALLOW_PRIVATE", "1")
        assert read_settings().public_url == url
    monkeypatch.setenv("SAFELIGHT_FETCH_ALLOW_NETWORKS", "10.0.0.0/8,fc00::/7,192.168.1.5/32")
    read_settings()


def test_names_when_kubernetes_sets_them_for_a_service_are_no_mistake() -> None:
    links = {
        "SAFELIGHT_API_SERVICE_HOST": "10.0.0.1",
        "SAFELIGHT_API_SERVICE_PORT": "8765",
        "SAFELIGHT_API_SERVICE_PORT_HTTP": "8765",
        "SAFELIGHT_API_PORT": "tcp://10.0.0.1:8765",
        "SAFELIGHT_API_PORT_8765_TCP": "tcp://10.0.0.1:8765",
        "SAFELIGHT_API_PORT_8765_TCP_ADDR": "10.0.0.1",
    }
    assert unknown_names(links, Settings.model_fields) == []
    assert unknown_names({"safelight_port": "1", "PORT": "1"}, Settings.model_fields) == []
    assert unknown_names({"SAFELIGHT_API_PORT": "8765"}, Settings.model_fields) != []


def test_dotenv_when_it_is_in_another_encoding_is_named(folder: Path) -> None:
    (folder / ".env").write_bytes("NAME=Müller\n".encode("latin-1"))
    with pytest.raises(BadUse, match=r"\.env is not UTF-8 text"):
        read_settings()


def test_dotenv_when_a_name_in_it_is_misspelled_is_an_error(folder: Path) -> None:
    (folder / ".env").write_text("OTHER_PROGRAM=1\nSAFELIGHT_PORTT=1\n")
    with pytest.raises(BadUse, match="did you mean SAFELIGHT_PORT"):
        read_settings()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("news@example.com", "news@example.com"),
        ("<news@example.com>", "news@example.com"),
        ("Safelight <news@example.com>", "Safelight <news@example.com>"),
        ("Müller, Inc. <news@example.com>", '"Müller, Inc." <news@example.com>'),
        ('"Müller, Inc." <news@example.com>', '"Müller, Inc." <news@example.com>'),
        ("Media @ Home <news@example.com>", '"Media @ Home" <news@example.com>'),
    ],
)
def test_sender_when_its_name_has_special_characters_is_quoted(written: str, read: str) -> None:
    assert Settings(mail_from=written).mail_from == read


# --- secrets from files ---------------------------------------------------------------------------


def test_secret_when_a_file_has_it_is_read_without_its_last_line_break(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ("a key", "a key\n", "a key\r\n"):
        (folder / "key").write_bytes(text.encode())
        monkeypatch.setenv("SAFELIGHT_FAL_KEY_FILE", str(folder / "key"))
        assert read_settings().fal_key.get_secret_value() == "a key"
    (folder / "url").write_text("postgresql://u:p@h/d\n")
    (folder / ".env").write_text("SAFELIGHT_DATABASE_URL_FILE=url\n")
    assert read_settings().database_url == "postgresql://u:p@h/d"


def test_secret_when_each_has_a_file_is_read_from_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"fetch_proxy": "http://h:1", "mail_url": "smtp://h"}
    secrets = secret_names(Settings.model_fields)
    assert len(secrets) >= len(values)
    for name in secrets:
        (folder / name).write_text(values.get(name, "value"))
        monkeypatch.setenv(f"SAFELIGHT_{name.upper()}_FILE", str(folder / name))
    monkeypatch.setenv("SAFELIGHT_MAIL_FROM", "a@b.example")
    read = read_settings()
    for name in secrets:
        found = getattr(read, name)
        text = found if isinstance(found, str) else found.get_secret_value()
        assert text == values.get(name, "value")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"pw\npw\n", "more than one line"),
        (b"pw\0", "control characters"),
        (b"pw\xff", "not UTF-8"),
        (b"pw" * 40_000, "more than 65536 bytes"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_secret_when_its_file_is_unfit_names_the_variable_and_no_content(
    folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, told: str
) -> None:
    if content is not None:
        (folder / "secret").write_bytes(content)
    monkeypatch.setenv("SAFELIGHT_FAL_KEY_FILE", str(folder / "secret"))
    with pytest.raises(BadUse, match=f"SAFELIGHT_FAL_KEY_FILE: .*{told}") as caught:
        read_settings()
    assert "pw" not in str(caught.value)


def test_secret_when_its_file_is_a_folder_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFELIGHT_FAL_KEY_FILE", str(folder))
    with pytest.raises(BadUse, match=r"SAFELIGHT_FAL_KEY_FILE: .*cannot be read"):
        read_settings()


def test_secret_when_given_twice_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "key").write_text("pw")
    monkeypatch.setenv("SAFELIGHT_FAL_KEY_FILE", str(folder / "key"))
    monkeypatch.setenv("SAFELIGHT_FAL_KEY", "pw")
    with pytest.raises(BadUse, match="SAFELIGHT_FAL_KEY is set too") as caught:
        read_settings()
    assert "pw" not in str(caught.value)


def test_setting_when_it_is_no_secret_has_no_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del folder
    monkeypatch.setenv("SAFELIGHT_PORT_FILE", "x")
    with pytest.raises(BadUse, match="SAFELIGHT_PORT_FILE: there is no such setting"):
        read_settings()


# --- settings that are read when the parts are made -----------------------------------------------


@pytest.mark.parametrize("url", ["mysql://x", "safelight.db", "sqlite://", "sqlite:///x?mode=ro"])
def test_database_when_the_url_is_of_another_kind_is_named(url: str) -> None:
    with pytest.raises(SettingInvalid, match="SAFELIGHT_DATABASE_URL: "):
        database_url(Settings(database_url=url))


@pytest.mark.parametrize("secret", ["abc", "whsec_!", "whsec_YWJj"])
def test_webhook_secret_when_it_is_malformed_is_named(secret: str) -> None:
    settings = Settings.model_validate(
        {"replicate_api_token": "t", "replicate_webhook_secret": secret}
    )
    with pytest.raises(SettingInvalid, match="SAFELIGHT_REPLICATE_WEBHOOK_SECRET: ") as caught:
        vendors(settings)
    assert secret not in str(caught.value)


def test_mask_network_when_its_library_is_missing_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = tmp_path / "network.onnx"
    network.touch()
    settings = Settings(inflate_saliency_model=network)
    assert mask_network(settings) == network
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SettingInvalid, match=r"needs the extra `onnx`: .*install.*\[onnx\]"):
        mask_network(settings)


def test_command_when_a_setting_is_invalid_ends_with_status_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "safelight", "serve"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env={
            "SAFELIGHT_DATA_DIR": str(tmp_path / "data"),
            "SAFELIGHT_DATABASE_URL": "mysql://x",
            "SAFELIGHT_PORT": "0",
            "PATH": "/usr/bin:/bin",
        },
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("safelight: SAFELIGHT_DATABASE_URL: it must start with")
