"""The documents of people, made of their rows."""

from collections.abc import Sequence

from safelight import documents
from safelight.identity.people import Person
from safelight.identity.user import Invitation, Membership


def user_document(person: Person) -> documents.User:
    """Return a user with all accounts."""
    user = person.user
    return {
        "id": user.id,
        "email": user.email,
        "operator": user.is_operator,
        "two_step": user.has_totp,
        "accounts": accounts_of(person.memberships),
        "created_at": user.created_at,
        "verified_at": user.verified_at,
        "disabled_at": user.disabled_at,
    }


def accounts_of(memberships: Sequence[Membership]) -> list[documents.UserAccount]:
    """Return the accounts of a user, oldest membership first."""
    return [
        {"id": each.account_id, "name": each.account_name, "role": each.role.value}
        for each in memberships
    ]


def member_document(member: Membership) -> documents.Member:
    """Return a member of an account."""
    return {
        "user_id": member.user_id,
        "email": member.email,
        "role": member.role.value,
        "created_at": member.created_at,
        "disabled_at": member.disabled_at,
    }


def invitation_document(invitation: Invitation) -> documents.Invitation:
    """Return an invitation, without its token."""
    return {
        "id": invitation.id,
        "email": invitation.email,
        "role": invitation.role.value,
        "created_at": invitation.created_at,
        "expires_at": invitation.expires_at,
        "accepted_at": invitation.accepted_at,
        "revoked_at": invitation.revoked_at,
    }
