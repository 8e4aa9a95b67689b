"""Reads the catalogue from its TOML file, with secrets from the environment."""

import re
import tomllib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from safelight.json_object import JsonObject
from safelight.providers.catalogue.catalogue import Catalogue, Offer, Table
from safelight.providers.catalogue.mistakes import say
from safelight.providers.errors import CatalogueInvalid, UnknownModel
from safelight.providers.remote.http_service import HttpService

_MAX_BYTES = 4 * 2**20
_NAMED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SERVICE = TypeAdapter(HttpService)


class _Offers(Table):
    models: list[Offer]


def read_catalogue(path: Path, environment: Mapping[str, str]) -> Catalogue:
    """Parse the file; `${NAME}` in a string is replaced by a variable of `environment`.

    Raises `CatalogueInvalid` with the file, the place of the first errors and the allowed names,
    and no value of the environment.
    """
    with naming(path):
        try:
            text = path.read_bytes()[: _MAX_BYTES + 1]
            if len(text) > _MAX_BYTES:
                raise CatalogueInvalid(f"it has more than {_MAX_BYTES} bytes.")
            document = tomllib.loads(text.decode())
        except OSError as error:
            raise CatalogueInvalid(f"it cannot be read: {error.strerror}.") from None
        except ValueError as error:
            raise CatalogueInvalid(f"it is not valid TOML: {error}") from None
        try:
            return _parse(_filled(document, environment))
        except ValidationError as error:
            raise CatalogueInvalid(say(error, Catalogue)) from None


@contextmanager
def naming(path: Path) -> Generator[None]:
    """Add the file's name to errors about the catalogue."""
    try:
        yield
    except (CatalogueInvalid, UnknownModel) as error:
        raise CatalogueInvalid(f"{path}: {error.detail}") from None


def _parse(document: JsonObject) -> Catalogue:
    services = document.pop("http", {})
    if not isinstance(services, dict):
        raise CatalogueInvalid("http: each service needs its own table, [http.NAME].")
    named = cast("JsonObject", services)
    return Catalogue.model_validate(
        document | {"http": [_service(name, table) for name, table in named.items()]}
    )


def _service(name: str, table: JsonObject) -> HttpService:
    try:
        offers = _Offers.model_validate({"models": table.get("models", [])}).models
    except ValidationError as error:
        raise CatalogueInvalid(say(error, _Offers, f"http.{name}")) from None
    try:
        return _SERVICE.validate_python(
            table | {"name": name, "models": tuple(offer.of(name) for offer in offers)}
        )
    except ValidationError as error:
        raise CatalogueInvalid(say(error, HttpService, f"http.{name}")) from None


def _filled(value: Any, environment: Mapping[str, str], place: str = "") -> Any:
    if isinstance(value, dict):
        table = cast("JsonObject", value)
        return {
            key: _filled(one, environment, f"{place}.{key}" if place else key)
            for key, one in table.items()
        }
    if isinstance(value, list):
        entries = enumerate(cast("list[Any]", value))
        return [_filled(one, environment, f"{place}.{index}") for index, one in entries]
    if not isinstance(value, str):
        return value

    def named(found: re.Match[str]) -> str:
        if found[1] not in environment:
            raise CatalogueInvalid(f"{place}: ${{{found[1]}}} is not set in the environment.")
        return environment[found[1]]

    return _NAMED.sub(named, value)
