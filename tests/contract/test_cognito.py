"""Tokens of Amazon Cognito, which moto plays: access tokens are taken, id tokens are not."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from safelight.accounts.errors import Unauthenticated
from safelight.db.engine import open_database
from safelight.fetch.trusted import TrustedClient
from safelight.identity.issuers.issuer_file import read_issuers
from safelight.identity.issuers.tokens import Tokens
from tests import brokers, buckets, factories
from tests.brokers import Broker

PASSWORD = "Correct-horse-7"  # noqa: S105


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with brokers.running(brokers.sqs(tmp_path_factory.mktemp("moto"))) as server:
        yield server


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@dataclass(frozen=True)
class Pool:
    """A user pool with one user: its issuer, where its keys are, and the user's tokens."""

    issuer: str
    keys_url: str
    client_id: str
    tokens: dict[str, Any]


@pytest.fixture
def pool(moto: Broker) -> Pool:
    cognito = buckets.client(moto, "cognito-idp")
    pool_id = cognito.create_user_pool(PoolName="people")["UserPool"]["Id"]
    client_id = cognito.create_user_pool_client(
        UserPoolId=pool_id, ClientName="safelight", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
    )["UserPoolClient"]["ClientId"]
    cognito.admin_create_user(UserPoolId=pool_id, Username="ann")
    cognito.admin_set_user_password(
        UserPoolId=pool_id, Username="ann", Password=PASSWORD, Permanent=True
    )
    tokens = cognito.initiate_auth(
        AuthFlow="USER_PASSWORD_AUTH",
        ClientId=client_id,
        AuthParameters={"USERNAME": "ann", "PASSWORD": PASSWORD},
    )["AuthenticationResult"]
    return Pool(
        f"https://cognito-idp.{buckets.REGION}.amazonaws.com/{pool_id}",
        f"http://127.0.0.1:{moto.port}/{pool_id}/.well-known/jwks.json",
        client_id,
        tokens,
    )


@pytest.fixture
async def authenticate(
    pool: Pool, migrated_database_url: str, tmp_path: Path
) -> AsyncIterator[Tokens]:
    database = open_database(migrated_database_url)
    account = await factories.new_account(database)
    path = tmp_path / "issuers.toml"
    path.write_text(f"""
[issuers.cognito]
issuer = "{pool.issuer}"
keys_url = "{pool.keys_url}"
allow_http = true
audience = "{pool.client_id}"
audience_claim = "client_id"
types = ["", "JWT"]
require = {{ token_use = "access" }}
account = "{account}"
scope_claim = ""
""")
    async with TrustedClient() as client:
        yield Tokens(database, read_issuers(path, {}).issuers, client)
    await database.close()


async def test_token_when_it_is_cognito_s_access_token_is_accepted_and_its_id_token_is_not(
    authenticate: Tokens, pool: Pool
) -> None:
    caller = await authenticate.authenticate(pool.tokens["AccessToken"])
    assert caller.key_id.startswith("cognito:")
    assert "jobs:write" in caller.scopes
    with pytest.raises(Unauthenticated, match=r"audience|token_use"):
        await authenticate.authenticate(pool.tokens["IdToken"])
    signed = pool.tokens["AccessToken"]
    with pytest.raises(Unauthenticated, match="signature"):
        await authenticate.authenticate(f"{signed[:-20]}{'A' * 20}")
