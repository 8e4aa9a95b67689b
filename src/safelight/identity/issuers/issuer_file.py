"""Reads the issuers from their TOML file, with secrets from the environment."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from safelight.identity.errors import IssuersInvalid
from safelight.identity.issuers.issuer import FORMS, Issuers
from safelight.mistakes import say
from safelight.toml_file import read_toml


def read_issuers(path: Path, environment: Mapping[str, str]) -> Issuers:
    """Return the file's content; raise `IssuersInvalid` with the file and the first mistakes."""
    try:
        return Issuers.model_validate(read_toml(path, environment))
    except ValidationError as error:
        raise IssuersInvalid(f"{path}: {say(error, Issuers, forms=FORMS)}") from None
    except ValueError as error:
        raise IssuersInvalid(f"{path}: {error}") from None
