"""Logs tell what went wrong and where, and no value of any variable; libraries tell less."""

import dataclasses
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

import safelight
from safelight import telemetry

PROGRAM = """
import logging
from safelight import telemetry

if "{style}" != "unconfigured":
    telemetry.configure_logs("debug", "{style}")
log = telemetry.logger("safelight.test")


def fail(key: str) -> None:
    inside = [key]
    raise ValueError(f"no luck with {{len(inside)}} key, {{key}}")


try:
    fail("sk_" + "a" * 30)
except ValueError:
    log.exception("it failed")
log.debug("a small thing")
logging.getLogger("botocore.auth").debug("signature of a library")
logging.getLogger("botocore.auth").warning("warning of a library")
"""


@pytest.mark.parametrize("style", ["console", "json", "unconfigured"])
def test_log_when_something_fails_shows_the_place_and_no_variable(style: str) -> None:
    program = PROGRAM.format(style=style)
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    for told in ("it failed", "no luck with 1 key", "in fail", "warning of a"):
        assert told in done.stderr, told
    assert ("a small thing" in done.stderr) is (style != "unconfigured")
    assert done.stdout == ""
    assert "sk_" + "a" * 30 not in done.stderr
    assert "signature of a library" not in done.stderr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("POST /callbacks/fal/att_1.sssssssssssssssssssssss 404", "POST /callbacks/fal/… 404"),
        ("path=/x//callbacks/fal/att_1.sig/ status=404", "path=/x//callbacks/fal/… status=404"),
        ("/login?token=lnk_aaaaaaaaaaaaaaaaaaaaaaaa", "/login?token=…"),
        ("the key sk_aaaaaaaaaaaaaaaaaaaa failed", "the key sk_… failed"),
        ("cookie ses_aaaaaaaaaaaaaaaaaaaa", "cookie ses_…"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_…"),
        ("/files/a.png?until=1&sig=abcdefg&w=1", "/files/a.png?until=1&sig=…&w=1"),
        ("Authorization: Bearer abcdefghijklmnop", "Authorization: Bearer …"),
        ("token eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln failed", "token eyJ… failed"),
        ("value sealed:1:0a1b2c3d:AAAA/BBBB+CC== ", "value sealed:1:… "),
        ("postgresql://user:hunter2@host/db", "postgresql://user:…@host/db"),
        ("http://host:80/path and no secret", "http://host:80/path and no secret"),
    ],
)
def test_secret_when_it_has_a_known_form_is_cut_from_any_text(text: str, shown: str) -> None:
    assert telemetry.without_secrets(text) == shown


# --- representations -----------------------------------------------------------------------------

_SECRET_NAME = re.compile(r"(?<!signing_)(secret|password|token|api_key|access_key|credential)s?$")
_SECRETS = {
    "safelight.cli.hosting.host.Owner": {"key"},
    "safelight.web.api.account.SignIn": {"key"},
    "safelight.web.api.contacts.ContactCode": {"code"},
    "safelight.notifications.contact.Contact": {"code", "token"},
    "safelight.providers.remote.fal.config.FalConfig": {"key"},
    "safelight.settings.Settings": {"database_url", "doorbell_url"},
}
_NEED_EXTRAS = ("engine", "loading", "painting")  # of diffusers: torch is not installed here


def _classes() -> Iterator[type]:
    for module in pkgutil.walk_packages(safelight.__path__, "safelight."):
        name = module.name
        if ".migrations" in name or name.endswith(("__main__", *_NEED_EXTRAS)):
            continue
        found = importlib.import_module(name)  # noqa: TID251  all of them
        yield from (
            each
            for each in vars(found).values()
            if isinstance(each, type) and each.__module__ == name
        )


def _fields(kind: type) -> Iterator[tuple[str, bool]]:
    """Yield each text field and whether a representation shows it."""
    if dataclasses.is_dataclass(kind):
        for field in dataclasses.fields(kind):
            if field.type in (str, bytes, str | None, bytes | None):
                yield field.name, bool(field.repr)
    elif issubclass(kind, BaseModel):
        for name, info in kind.model_fields.items():
            if info.annotation in (str, bytes, str | None):
                yield name, bool(info.repr)


def test_secrets_when_their_holder_is_represented_are_left_out() -> None:
    shown: set[str] = set()
    hidden: set[str] = set()
    for kind in _classes():
        path = f"{kind.__module__}.{kind.__qualname__}"
        for name, is_shown in _fields(kind):
            if _SECRET_NAME.search(name) or name in _SECRETS.get(path, ()):
                (shown if is_shown else hidden).add(f"{path}.{name}")
    assert shown == set()
    assert {f"{path}.{name}" for path, names in _SECRETS.items() for name in names} <= hidden
