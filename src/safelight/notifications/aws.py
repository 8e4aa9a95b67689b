"""Sends by Amazon: mails by SES, SMS and messages to topics by SNS."""

from email.message import EmailMessage
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError

from safelight.notifications.contact import Channel, Contact
from safelight.notifications.notice import Content, Notice, NotSentError

_CONFIG = AioConfig(connect_timeout=5, read_timeout=20, retries={"max_attempts": 1})
# What the message is at fault for; anything else may be different later.
_HOPELESS = frozenset({"InvalidParameter", "InvalidParameterValue", "MessageRejected"})
_NO_TOPIC = frozenset({"NotFound"})


class Ses:
    """A carrier of mails; credentials come from where AWS's own tools find them."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._session = AioSession()

    async def __call__(self, mail: EmailMessage, sender: str, recipient: str) -> None:
        """Hand one mail in, whole as it is."""
        await _call(
            self._session,
            "sesv2",
            self._region,
            "send_email",
            FromEmailAddress=sender,
            Destination={"ToAddresses": [recipient]},
            Content={"Raw": {"Data": mail.as_bytes()}},
        )


class Sns:
    """A sender of SMS, and to topics."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._session = AioSession()

    async def send(self, notice: Notice, contact: Contact, content: Content) -> None:
        """Publish one: the short form to a phone, the event as JSON to a topic."""
        if contact.channel is Channel.SMS:
            message = {"PhoneNumber": contact.address, "Message": content.short}
            await _call(self._session, "sns", self._region, "publish", **message)
            return
        said = {"type": notice.event["type"], "account_id": contact.account_id, "id": notice.id}
        attributes = {
            name: {"DataType": "String", "StringValue": value} for name, value in said.items()
        }
        region = contact.address.split(":")[3]  # a topic is where its name says
        message = {
            "TopicArn": contact.address,
            "Message": content.data,
            "MessageAttributes": attributes,
        }
        if contact.address.endswith(".fifo"):
            order = {"MessageGroupId": notice.event["subject"], "MessageDeduplicationId": notice.id}
            message |= order
        await _call(self._session, "sns", region, "publish", **message)


async def _call(
    session: AioSession, service: str, region: str, operation: str, **arguments: Any
) -> None:
    try:
        opening: Any = session.create_client(service, region_name=region, config=_CONFIG)
        async with opening as client:
            await getattr(client, operation)(**arguments)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        reason = f"Amazon answered {code}: {error}"[:500]
        raise NotSentError(reason, hopeless=code in _HOPELESS, gone=code in _NO_TOPIC) from error
    except (BotoCoreError, OSError, TimeoutError) as error:
        raise NotSentError(f"Amazon could not be reached: {error}"[:500]) from error
