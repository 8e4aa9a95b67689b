"""Reads the catalogue from its TOML file, with secrets from the environment."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from pydantic import TypeAdapter, ValidationError

from safelight.json_object import JsonObject
from safelight.mistakes import say
from safelight.providers.catalogue.catalogue import FORMS, Catalogue, Offer, Table
from safelight.providers.errors import CatalogueInvalid, UnknownModel
from safelight.providers.remote.http_service import HttpService
from safelight.toml_file import read_toml

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
            document = read_toml(path, environment)
        except ValueError as error:
            raise CatalogueInvalid(str(error)) from None
        try:
            return _parse(document)
        except ValidationError as error:
            raise CatalogueInvalid(say(error, Catalogue, forms=FORMS)) from None


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
        raise CatalogueInvalid(say(error, _Offers, f"http.{name}", forms=FORMS)) from None
    try:
        return _SERVICE.validate_python(
            table | {"name": name, "models": tuple(offer.of(name) for offer in offers)}
        )
    except ValidationError as error:
        raise CatalogueInvalid(say(error, HttpService, f"http.{name}", forms=FORMS)) from None
