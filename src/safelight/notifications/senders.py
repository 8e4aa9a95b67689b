"""Opens the configured senders; those for AWS need an extra."""

from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from safelight.errors import ServiceError, SettingInvalid
from safelight.extras import how_to_install
from safelight.notifications.contact import Channel
from safelight.notifications.mail import Carrier, Mailer
from safelight.notifications.notice import NotSentError, Sender
from safelight.notifications.smtp import SmtpServer

_PORTS = {"smtp": 587, "smtps": 465}


def open_senders(
    *, mail_url: str, mail_from: str, sms_region: str, topics: Sequence[str], base_url: str
) -> dict[Channel, Sender]:
    """Return the sender for each configured channel; raise `SettingInvalid`."""
    senders: dict[Channel, Sender] = {}
    if mail_url:
        senders[Channel.EMAIL] = Mailer(_carrier(mail_url), mail_from, base_url)
    if sms_region:
        senders[Channel.SMS] = _sns("SAFELIGHT_SMS_REGION", sms_region)
    if topics:
        senders[Channel.SNS] = _sns("SAFELIGHT_SNS_TOPICS", sms_region)
    return senders


def _carrier(url: str) -> Carrier:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise SettingInvalid("SAFELIGHT_MAIL_URL contains no valid port.") from None
    if not parts.hostname:
        raise SettingInvalid("SAFELIGHT_MAIL_URL contains no host.")
    if parts.scheme == "ses":
        try:
            from safelight.notifications.aws import Ses  # noqa: PLC0415  an extra
        except ModuleNotFoundError:
            raise _missing("SAFELIGHT_MAIL_URL=ses://…") from None
        return Ses(parts.hostname)
    if parts.scheme not in _PORTS:
        raise SettingInvalid("SAFELIGHT_MAIL_URL must start with smtp://, smtps:// or ses://.")
    return SmtpServer(
        parts.hostname,
        port or _PORTS[parts.scheme],
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        implicit_tls=parts.scheme == "smtps",
    )


def _sns(setting: str, region: str) -> Sender:
    try:
        from safelight.notifications.aws import Sns  # noqa: PLC0415  an extra
    except ModuleNotFoundError:
        raise _missing(setting) from None
    return Sns(region)


def _missing(setting: str) -> SettingInvalid:
    return SettingInvalid(f"{setting} needs the extra `messages`: {how_to_install('messages')}")


async def check(sender: Sender) -> None:
    """Raise `ServiceError` if notices cannot be sent."""
    try:
        await sender.check()
    except NotSentError as error:
        raise ServiceError(str(error)) from error
