"""Errors of people (signing in, passwords, mails, members) and of issuers and their tokens."""

from safelight.accounts.errors import Unauthenticated
from safelight.errors import (
    Forbidden,
    InvalidRequest,
    Remedy,
    RequestError,
    ServiceError,
    SettingInvalid,
)


class LoginFailed(Unauthenticated):
    """The address or the password is wrong, or the user is disabled: all alike."""

    code = "login_failed"
    title = "The e-mail address or the password is wrong"


class CodeWrong(Unauthenticated):
    """The code of the second step is wrong or was used before, or the first step is too old."""

    code = "code_wrong"
    title = "The code is wrong, or was used before"


class PasswordWrong(Forbidden):
    """The current password, which this change needs, is wrong."""

    code = "password_wrong"
    title = "The current password is wrong"


class TokenInvalid(Forbidden):
    """The link was used, has expired, or is of another user or purpose: all alike."""

    code = "token_invalid"
    title = "This link was used, or has expired"


class PasswordUnfit(InvalidRequest):
    """The new password is too short, too long, or in a list of breached ones."""

    code = "password_unfit"
    title = "Choose another password"


class TooManyAttempts(RequestError):
    """Too many attempts for this user or from this address; `retry_after` is when to retry."""

    code = "too_many_attempts"
    status = 429
    title = "Too many attempts"
    remedy = Remedy.WAIT


class PersonNeeded(Forbidden):
    """The credential is of no person: sign in with e-mail address and password."""

    code = "person_needed"
    title = "Only a signed-in person may do that"


class LoginOff(Forbidden):
    """People cannot sign in here: the installation takes API keys and login links only."""

    code = "login_off"
    title = "People cannot sign in to this installation"


class NoAccount(Forbidden):
    """The person is a member of no account, or not of the one that was named."""

    code = "no_account"
    title = "You are no member of that account"


class EmailTaken(RequestError):
    """Another user has the e-mail address."""

    code = "email_taken"
    status = 409
    title = "Another user has this e-mail address"


class AlreadyMember(RequestError):
    """The person is a member of the account already."""

    code = "already_member"
    status = 409
    title = "This person is a member already"


class LastOne(RequestError):
    """The last operator, or the last admin of an account, stays: name another one first."""

    code = "last_one"
    status = 409
    title = "The last operator or admin cannot go"


class TooManyInvitations(RequestError):
    """The account has as many open invitations as it may."""

    code = "too_many_invitations"
    status = 409
    title = "This account has too many open invitations"


class TotpState(RequestError):
    """Two-step login is on already, or is not set up."""

    code = "totp_state"
    status = 409
    title = "Two-step login is not in the state for that"


class MailMissing(ServiceError):
    """This needs a mail, and the installation sends none: set SAFELIGHT_MAIL_URL."""

    code = "mail_missing"
    title = "This installation sends no mail"


class IssuerUnavailable(ServiceError):
    """The keys of a token's issuer cannot be fetched; `retry_after` is when to try again."""

    code = "issuer_unavailable"
    title = "The issuer of this token cannot be reached"


class IssuersInvalid(SettingInvalid):
    """The file of issuers is unreadable or invalid; the server does not start with it."""

    code = "issuers_invalid"
    title = "The file of issuers is invalid"


class ProviderLoginFailed(Unauthenticated):
    """The login at a provider proves nobody: another browser began it, or the token is not good."""

    code = "provider_login_failed"
    title = "The login at the provider failed"


class IdentityNotConnected(Forbidden):
    """No user has connected this identity; a user with the same address must connect it first."""

    code = "identity_not_connected"
    title = "This identity is connected to no user"
