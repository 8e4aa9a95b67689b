"""Settings that refer to AWS Secrets Manager, which moto plays."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from safelight.errors import SettingInvalid
from safelight.settings import Settings
from safelight.settings.aws_secrets import resolved
from tests import brokers, buckets
from tests.brokers import Broker


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with brokers.running(brokers.sqs(tmp_path_factory.mktemp("moto"))) as server:
        yield server


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch, moto: Broker) -> Any:
    """A client of the server, and the environment that leads the settings there."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": buckets.REGION,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{moto.port}",
    }.items():
        monkeypatch.setenv(name, value)
    return buckets.client(moto, "secretsmanager")


async def test_secret_when_referred_to_is_read_by_name_arn_and_field(manager: Any) -> None:
    plain = manager.create_secret(Name="media/fal", SecretString="a key")
    many = json.dumps({"url": "postgresql://u:p@h/d"})
    manager.create_secret(Name="database", SecretString=many)
    settings = Settings(
        fal_key=SecretStr(plain["ARN"]),
        openai_api_key=SecretStr("secretsmanager:media/fal"),
        database_url="secretsmanager:database#url",
        replicate_api_token=SecretStr("as it is"),
    )
    read = await resolved(settings)
    assert read.fal_key.get_secret_value() == "a key"
    assert read.openai_api_key.get_secret_value() == "a key"
    assert read.database_url == "postgresql://u:p@h/d"
    assert read.replicate_api_token.get_secret_value() == "as it is"
    with pytest.raises(SettingInvalid, match=r"SAFELIGHT_DATABASE_URL: .*`other`") as caught:
        await resolved(
            settings.model_copy(update={"database_url": "secretsmanager:database#other"})
        )
    assert "postgresql" not in str(caught.value)


async def test_secret_when_it_is_not_there_names_the_setting(manager: Any) -> None:
    del manager
    with pytest.raises(SettingInvalid, match=r"SAFELIGHT_FAL_KEY: .*ResourceNotFound"):
        await resolved(Settings(fal_key=SecretStr("secretsmanager:nothing")))


async def test_settings_when_none_refers_to_it_are_as_they_were() -> None:
    settings = Settings(fal_key=SecretStr("secretsmanager"))
    assert await resolved(settings) is settings
