"""The members of accounts, with their roles, and the invitations that make new ones."""

from dataclasses import dataclass, field

from safelight import audit
from safelight.accounts import key_store
from safelight.accounts import store as account_store
from safelight.accounts.account import Caller
from safelight.accounts.authentication import Authenticator
from safelight.accounts.errors import ScopeNotHeld
from safelight.accounts.scopes import Role
from safelight.audit import NewLine
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.db.types import clock
from safelight.errors import NotFound
from safelight.identity import member_store, store, throttling
from safelight.identity.errors import (
    AlreadyMember,
    EmailTaken,
    LastOne,
    TokenInvalid,
    TooManyInvitations,
)
from safelight.identity.passwords import Passwords
from safelight.identity.post import Letter, Post
from safelight.identity.user import (
    INVITATION_LASTS,
    Invitation,
    Membership,
    User,
    email_key,
    hash_token,
    new_token,
)

MOST_INVITATIONS = 200  # open ones, per account
_NO_MEMBER = "There is no such member."


@dataclass(frozen=True, slots=True)
class Invited:
    """A new invitation; `url` is its link, where no mail carries it."""

    invitation: Invitation
    url: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Welcome:
    """An open invitation as its token opens it, and whether its address has a user already."""

    invitation: Invitation
    account_name: str
    has_user: bool


class Members:
    """Members and invitations of all accounts."""

    def __init__(
        self, database: Database, passwords: Passwords, authenticator: Authenticator, post: Post
    ) -> None:
        self._db = database
        self._passwords = passwords
        self._authenticator = authenticator
        self._post = post

    async def page(self, account_id: str, *, before: str | None, limit: int) -> list[Membership]:
        """Return up to `limit` members whose user id is lower than `before`, newest user first."""
        return await self._db.read(
            lambda tx: member_store.page(tx, account_id, before=before, limit=limit)
        )

    async def change(self, caller: Caller, user_id: str, role: Role) -> Membership:
        """Give a member another role, at once; raise `NotFound`, `LastOne`, `ScopeNotHeld`."""
        _check_held(caller, role)

        def write(tx: Connection) -> Membership:
            member = _existing(tx, caller.account_id, user_id)
            _check_held(caller, member.role)
            if member.role is Role.ADMIN and role is not Role.ADMIN:
                _check_other_admins(tx, caller.account_id, user_id)
            member_store.change(tx, caller.account_id, user_id, role)
            told = {"role": role.value, "before": member.role.value}
            audit.append(tx, [_line(caller, "member.changed", user_id, told)])
            return _existing(tx, caller.account_id, user_id)

        changed = await self._db.write(write)
        self._authenticator.forget_person(user_id)
        return changed

    async def remove(self, caller: Caller, user_id: str) -> None:
        """End a membership, and the member's sessions in the account.

        Raise `NotFound`, `LastOne`, `ScopeNotHeld`.
        """

        def write(tx: Connection) -> None:
            member = _existing(tx, caller.account_id, user_id)
            _check_held(caller, member.role)
            if member.role is Role.ADMIN:
                _check_other_admins(tx, caller.account_id, user_id)
            member_store.remove(tx, caller.account_id, user_id)
            key_store.revoke_of(tx, user_id, account_id=caller.account_id)
            told = {"email": member.email, "role": member.role.value}
            audit.append(tx, [_line(caller, "member.removed", user_id, told)])

        await self._db.write(write)
        self._authenticator.forget_person(user_id)

    # --- invitations -------------------------------------------------------------------------

    async def invite(self, caller: Caller, email: str, role: Role) -> Invited:
        """Invite an address; the link goes by mail, or is returned where none is sent.

        At most five mails an hour go to one mailbox. Raise `AlreadyMember`, `ScopeNotHeld`,
        `TooManyInvitations`, `TooManyAttempts`.
        """
        _check_held(caller, role)
        token = new_token()
        account_id = caller.account_id

        def write(tx: Connection) -> tuple[Invitation, str] | None:
            if not throttling.invite(tx, account_id, email):
                return None
            user = store.find_by_email(tx, email)
            if user is not None and member_store.find(tx, account_id, user.id) is not None:
                raise AlreadyMember(f"{email} is a member already.")
            if member_store.count_open(tx, account_id) >= MOST_INVITATIONS:
                raise TooManyInvitations(
                    f"An account has at most {MOST_INVITATIONS} open invitations. Revoke some."
                )
            made = member_store.invite(
                tx,
                hash_token(token),
                lasts=INVITATION_LASTS,
                account_id=account_id,
                email=email,
                role=role.value,
                mailed=self._post.is_open,
            )
            told = {"email": email, "role": role.value}
            audit.append(tx, [_line(caller, "invitation.created", made.id, told)])
            account = account_store.get_account(tx, account_id)
            return made, account.name if account else account_id

        found = await self._db.write(write)
        if found is None:
            raise throttling.refused_mail()
        invitation, name = found
        path = f"invitation#token={token}"
        if not self._post.is_open:
            return Invited(invitation, self._post.url_of(path))
        text = f"You are invited to the account {name}. The link is good for a week."
        self._post.send(Letter(email, "You are invited", text, path, "Accept the invitation"))
        return Invited(invitation, None)

    async def invitations(
        self, account_id: str, *, before: str | None, limit: int
    ) -> list[Invitation]:
        """Return up to `limit` invitations older than id `before`, newest first."""
        return await self._db.read(
            lambda tx: member_store.invitations_of(tx, account_id, before=before, limit=limit)
        )

    async def revoke(self, caller: Caller, invitation_id: str) -> None:
        """Revoke an invitation; revoking an ended one does nothing. Raise `NotFound`."""

        def write(tx: Connection) -> bool:
            found = member_store.find_invitation(tx, caller.account_id, invitation_id)
            if found is not None and member_store.revoke(tx, invitation_id):
                told = {"email": found.email}
                audit.append(tx, [_line(caller, "invitation.revoked", invitation_id, told)])
            return found is not None

        if not await self._db.write(write):
            raise NotFound("There is no such invitation.")

    async def look(self, token: str) -> Welcome:
        """Return what an invitation's token shows; raise `TokenInvalid`."""

        def read(tx: Connection) -> Welcome | None:
            found = member_store.open_invitation(tx, hash_token(token))
            if found is None:
                return None
            account = account_store.get_account(tx, found.account_id)
            has_user = store.find_by_email(tx, found.email) is not None
            return Welcome(found, account.name if account else found.account_id, has_user)

        welcome = await self._db.read(read)
        if welcome is None:
            raise TokenInvalid
        return welcome

    async def accept(self, token: str, user: User) -> str:
        """Make an authenticated user a member; return the account's id.

        The token is what counts: the invited person may have another address here. Raise
        `TokenInvalid`.
        """
        return (await self._join(token, user.id, email=None, hashed=""))[1]

    async def accept_as_new(self, token: str, password: str) -> tuple[User, str]:
        """Create the invited address's user and membership; return user and account id.

        Raise `TokenInvalid`, `PasswordUnfit`, or `EmailTaken` where the user exists: sign in first.
        """
        welcome = await self.look(token)
        if welcome.has_user:
            raise EmailTaken("This address has a user here. Sign in to accept the invitation.")
        hashed = await self._passwords.hash(password)
        return await self._join(token, None, email=welcome.invitation.email, hashed=hashed)

    async def _join(
        self, token: str, user_id: str | None, *, email: str | None, hashed: str
    ) -> tuple[User, str]:
        def write(tx: Connection) -> tuple[User, str] | None:
            invitation = member_store.accept(tx, hash_token(token))
            if invitation is None:
                return None
            if user_id is None:
                user = store.insert(tx, email or invitation.email, password=hashed)
                if user is None:
                    raise EmailTaken("This address has a user here. Sign in first.")
            else:
                user = store.find(tx, user_id)
                if user is None:
                    raise TokenInvalid
            is_theirs = email_key(invitation.email) == user.email_key
            if invitation.mailed and is_theirs and user.verified_at is None:
                store.change(tx, user.id, verified_at=clock(tx))
            member_store.add(tx, invitation.account_id, user.id, invitation.role)
            told = {"email": user.email, "role": invitation.role.value}
            line = NewLine(
                invitation.account_id, invitation.id, "invitation.accepted", user.id, told
            )
            audit.append(tx, [line])
            return user, invitation.account_id

        joined = await self._db.write(write)
        if joined is None:
            raise TokenInvalid
        self._authenticator.forget_person(joined[0].id)
        return joined


def _check_held(caller: Caller, role: Role) -> None:
    if missing := role.scopes - caller.scopes:
        raise ScopeNotHeld(
            f"Only a credential with the scopes of the role `{role.value}` may do that; "
            f"yours lacks {', '.join(sorted(missing))}."
        )


def _check_other_admins(tx: Connection, account_id: str, user_id: str) -> None:
    if not member_store.other_admins(tx, account_id, user_id):
        raise LastOne("This is the last admin of the account. Make another one first.")


def _existing(tx: Connection, account_id: str, user_id: str) -> Membership:
    member = member_store.find(tx, account_id, user_id)
    if member is None:
        raise NotFound(_NO_MEMBER)
    return member


def _line(caller: Caller, action: str, subject: str, data: dict[str, str]) -> NewLine:
    return NewLine(caller.account_id, caller.key_id, action, subject, data)
