"""Maps a job to a model's input, with its pictures as data URIs."""

import base64
import re

from safelight.json_object import JsonObject
from safelight.providers.errors import ProviderBadInput
from safelight.providers.provider import InputFile, ProviderRequest, Role
from safelight.providers.remote.fal.config import FalModel

_SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})", re.ASCII)


def body_of(request: ProviderRequest, model: FalModel, max_input_bytes: int) -> JsonObject:
    """Return the request body. Reads files: call it off the event loop.

    Raises `ProviderBadInput` for a picture that the model does not accept, or a missing one.
    """
    _check_bytes(request.inputs, max_input_bytes)
    return words_of(request, model) | _pictures(request.inputs, model) | dict(model.fixed)


def words_of(request: ProviderRequest, model: FalModel) -> JsonObject:
    """Return the request body without pictures, which lookups do not have."""
    told: JsonObject = {model.prompt: request.prompt} if model.prompt else {}
    for name, value in request.params.items():
        told[model.theirs.get(name, name)] = _size(value) if name == "size" else value
    return told | dict(model.fixed)


def _size(value: str) -> object:
    found = _SIZE.fullmatch(value)
    return {"width": int(found[1]), "height": int(found[2])} if found else value


def _pictures(inputs: tuple[InputFile, ...], model: FalModel) -> JsonObject:
    told: JsonObject = {}
    many: list[str] = []
    for file in _named(inputs, model):
        if field := model.pictures.get(file.role):
            if field in told:
                raise ProviderBadInput(f"The model takes one {file.role.value} picture.")
            told[field] = _data_uri(file)
        elif model.many and file.role is Role.REFERENCE:
            many.append(_data_uri(file))
        else:
            raise ProviderBadInput(f"The model takes no {file.role.value} picture.")
    first = next(iter(model.pictures.values()), "")
    if first and first not in told:
        raise ProviderBadInput(f"The model needs a {next(iter(model.pictures)).value} picture.")
    return told | ({model.many: many} if many else {})


def _named(inputs: tuple[InputFile, ...], model: FalModel) -> tuple[InputFile, ...]:
    """Return the inputs; for a multi-view model, a single picture becomes the front view."""
    alone = len(inputs) == 1 and inputs[0].role is Role.REFERENCE
    if alone and Role.FRONT in model.pictures and Role.REFERENCE not in model.pictures:
        file = inputs[0]
        return (InputFile(file.path, file.media_type, file.name, Role.FRONT),)
    return inputs


def _check_bytes(inputs: tuple[InputFile, ...], most: int) -> None:
    size = sum(file.path.stat().st_size for file in inputs)
    if size > most:
        raise ProviderBadInput(f"The pictures have {size} bytes; at most {most} are sent.")


def _data_uri(file: InputFile) -> str:
    return f"data:{file.media_type};base64,{base64.b64encode(file.path.read_bytes()).decode()}"
