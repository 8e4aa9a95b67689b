"""Mail, SMS and topics."""

from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

from safelight.settings.checked import ExistingFolder, MailSender


class NotificationSettings(BaseSettings):
    """Mail, SMS and topics."""

    mail_url: SecretStr = Field(
        default=SecretStr(""),
        description="Mail transport: `smtp://user:password@host:587` (with STARTTLS), "
        "`smtps://…:465`, or `ses://REGION`; empty sends no mail.",
    )
    mail_from: MailSender = Field(
        default="", description="Sender of mail, such as `Safelight <news@example.com>`."
    )
    mail_templates: ExistingFolder | None = Field(
        default=None,
        description="Folder of templates that override the built-in ones of the same name.",
    )
    sms_region: str = Field(
        default="", description="Region of the Amazon SNS that sends SMS; empty sends none."
    )
    sns_topics: str = Field(
        default="",
        description="ARNs of the SNS topics that accounts may notify, separated by commas.",
    )
    digest_hour: int = Field(
        default=7, ge=0, le=23, description="Hour, in UTC, at which the daily digest is sent."
    )

    @model_validator(mode="after")
    def _mail_is_whole(self) -> Self:
        if self.mail_url.get_secret_value() and not self.mail_from:
            raise ValueError("SAFELIGHT_MAIL_URL needs SAFELIGHT_MAIL_FROM too")
        return self
