"""The two SageMaker API calls in use, signed (AWS Signature Version 4), without retries."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# The AWS libraries have no types.

from collections.abc import Mapping
from types import TracebackType
from typing import Self, cast

import orjson
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from safelight.providers.errors import ProviderError
from safelight.providers.remote.api import Answer, Api, Sending
from safelight.providers.remote.sagemaker.config import SageMakerConfig
from safelight.providers.remote.sagemaker.credentials import Credentials
from safelight.providers.remote.sagemaker.failure import explain

_SERVICE = "sagemaker"  # service name in the signature of both endpoints
_DESCRIBE_S = 5.0


class Calls:
    """SageMaker's API, with the given credentials."""

    def __init__(self, config: SageMakerConfig, credentials: Credentials) -> None:
        self._config = config
        self._credentials = credentials
        self._api = Api(config.runtime(), {}, explain=explain)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._api.__aexit__(kind, error, traceback)

    async def invoke(self, endpoint: str, headers: Mapping[str, str]) -> Answer:
        """Submit a request to an endpoint (InvokeEndpointAsync); this call pays.

        `headers` are the parameters, without their common prefix.
        """
        named = {f"X-Amzn-SageMaker-{name}": value for name, value in headers.items()}
        url = f"{self._config.runtime()}/endpoints/{endpoint}/async-invocations"
        signed = await self._signed(url, named, b"")
        return await self._api.call(
            "POST",
            url,
            Sending(content=b"", headers=signed),
            pays=True,
            answer_s=self._config.call_s,
        )

    async def describe(self, endpoint: str) -> Mapping[str, object]:
        """Return SageMaker's description of an endpoint (DescribeEndpoint)."""
        url = f"{self._config.control()}/"
        body = orjson.dumps({"EndpointName": endpoint})
        named = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "SageMaker.DescribeEndpoint",
        }
        signed = await self._signed(url, named, body)
        answer = await self._api.call(
            "POST",
            url,
            Sending(content=body, headers=signed),
            answer_s=min(_DESCRIBE_S, self._config.call_s),
        )
        document: object = answer.document
        if not isinstance(document, dict):
            raise ProviderError("SageMaker's description of the endpoint is invalid.")
        return cast("dict[str, object]", document)

    async def _signed(self, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        keys = await self._credentials.keys()
        request = AWSRequest(method="POST", url=url, headers=dict(headers), data=body)
        who = ReadOnlyCredentials(keys.access_key_id, keys.secret_access_key, keys.token)
        SigV4Auth(who, _SERVICE, self._config.region).add_auth(request)
        return dict(request.headers.items())
