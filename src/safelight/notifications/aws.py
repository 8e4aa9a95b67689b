"""Sends via AWS: mail with SES, SMS and topic messages with SNS."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# The AWS libraries have no types.

from email.message import EmailMessage
from typing import Any, cast

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError

from safelight.notifications.contact import Channel, Contact
from safelight.notifications.notice import Content, Notice, NotSentError

_CONFIG = AioConfig(connect_timeout=5, read_timeout=20, retries={"max_attempts": 1})
# Permanent errors of the message itself; anything else may be transient.
_HOPELESS = frozenset({"InvalidParameter", "InvalidParameterValue", "MessageRejected"})
_NO_TOPIC = frozenset({"NotFound"})


class Ses:
    """Carries mail with SES; uses AWS's usual credentials."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._session = AioSession()

    async def __call__(self, mail: EmailMessage, sender: str, recipient: str) -> None:
        """Send one raw MIME mail."""
        await _call(
            self._session,
            "sesv2",
            self._region,
            "send_email",
            FromEmailAddress=sender,
            Destination={"ToAddresses": [recipient]},
            Content={"Raw": {"Data": mail.as_bytes()}},
        )

    async def check(self) -> None:
        """Try the credentials, and send nothing."""
        await _check_credentials(self._session, self._region)


class Sns:
    """Sends SMS and publishes to topics."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._session = AioSession()

    async def send(self, notice: Notice, contact: Contact, content: Content) -> None:
        """Publish a notice: the short text to a phone, the event as JSON to a topic."""
        if contact.channel is Channel.SMS:
            message = {"PhoneNumber": contact.address, "Message": content.short}
            await _call(self._session, "sns", self._region, "publish", **message)
            return
        said = {"type": notice.event["type"], "account_id": contact.account_id, "id": notice.id}
        attributes = {
            name: {"DataType": "String", "StringValue": value} for name, value in said.items()
        }
        region = contact.address.split(":")[3]  # the region in the topic's ARN
        message = {
            "TopicArn": contact.address,
            "Message": content.data,
            "MessageAttributes": attributes,
        }
        if contact.address.endswith(".fifo"):
            order = {"MessageGroupId": notice.event["subject"], "MessageDeduplicationId": notice.id}
            message |= order
        await _call(self._session, "sns", region, "publish", **message)

    async def check(self) -> None:
        """Try the credentials, and send nothing."""
        await _check_credentials(self._session, self._region)


async def _check_credentials(session: AioSession, region: str) -> None:
    # Needs no permission, and costs nothing.
    await _call(session, "sts", region or "us-east-1", "get_caller_identity")


async def _call(
    session: AioSession, service: str, region: str, operation: str, **arguments: Any
) -> None:
    try:
        opening: Any = session.create_client(service, region_name=region, config=_CONFIG)
        async with opening as client:
            await getattr(client, operation)(**arguments)
    except ClientError as error:
        code = str(cast("Any", error).response.get("Error", {}).get("Code", ""))
        reason = f"Amazon answered {code}: {error}"[:500]
        raise NotSentError(reason, hopeless=code in _HOPELESS, gone=code in _NO_TOPIC) from error
    except (BotoCoreError, OSError, TimeoutError) as error:
        raise NotSentError(f"Amazon could not be reached: {error}"[:500]) from error
