"""Secret settings from AWS Secrets Manager: the value is a reference to the secret."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# The AWS libraries have no types.

import asyncio
import json
import re
from typing import Any, cast

from pydantic import SecretStr

from safelight.errors import SettingInvalid
from safelight.extras import how_to_install
from safelight.json_object import JsonObject
from safelight.settings import Settings
from safelight.settings.secret_files import secret_names

_TOTAL_S = 20.0
_REFERENCE = re.compile(
    r"(?:secretsmanager:(?P<name>[\w/+=.@-]{1,512})"
    r"|(?P<arn>arn:aws[\w-]*:secretsmanager:(?P<region>[\w-]+):\d{12}:secret:[\w/+=.@-]{1,512}))"
    r"(?:#(?P<field>[\w.-]{1,100}))?",
    re.ASCII,
)


async def resolved(settings: Settings) -> Settings:
    """Return the settings with the values of all that refer to Secrets Manager.

    A reference is `secretsmanager:NAME` or the ARN of a secret; `#FIELD` takes one field of a JSON
    object. Raises `SettingInvalid` with the setting's name.
    """
    found: JsonObject = {}
    for name in secret_names(Settings.model_fields):
        given: str | SecretStr = getattr(settings, name)
        text = given if isinstance(given, str) else given.get_secret_value()
        if reference := _REFERENCE.fullmatch(text):
            value = await _value(f"SAFELIGHT_{name.upper()}", reference)
            found[name] = value if isinstance(given, str) else SecretStr(value)
    return settings.model_copy(update=found) if found else settings


async def _value(variable: str, reference: re.Match[str]) -> str:
    try:
        async with asyncio.timeout(_TOTAL_S):
            text = await _secret(
                variable, reference["arn"] or reference["name"], reference["region"]
            )
    except TimeoutError:
        raise SettingInvalid(
            f"{variable}: Secrets Manager did not answer within {_TOTAL_S:g} s"
        ) from None
    field = reference["field"]
    if field is None:
        return text
    try:
        value = cast("JsonObject", json.loads(text))[field]
    except (ValueError, TypeError, KeyError):
        raise SettingInvalid(f"{variable}: the secret is no JSON object with `{field}`") from None
    return str(value)


async def _secret(variable: str, secret_id: str, region: str | None) -> str:
    try:
        from aiobotocore.config import AioConfig  # noqa: PLC0415  an extra
        from aiobotocore.session import AioSession  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    except ModuleNotFoundError:
        raise SettingInvalid(
            f"{variable} needs the extra `secrets`: {how_to_install('secrets')}"
        ) from None
    config = AioConfig(connect_timeout=3, read_timeout=5, retries={"max_attempts": 2})
    try:
        opening: Any = AioSession().create_client(
            "secretsmanager", region_name=region, config=config
        )
        async with opening as client:
            answer = await client.get_secret_value(SecretId=secret_id)
    except ClientError as error:
        code = cast("Any", error).response.get("Error", {}).get("Code", "")
        raise SettingInvalid(f"{variable}: Secrets Manager answered {code}") from None
    except (BotoCoreError, OSError) as error:
        raise SettingInvalid(f"{variable}: Secrets Manager: {error}") from None
    text: object = answer.get("SecretString")
    if not isinstance(text, str) or not text:
        raise SettingInvalid(f"{variable}: the secret has no text")
    return text
