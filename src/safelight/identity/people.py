"""The users of this installation: made by operators, changed by themselves."""

from dataclasses import dataclass, field

from safelight import audit
from safelight.accounts import key_store
from safelight.accounts import store as account_store
from safelight.accounts.account import Caller
from safelight.accounts.authentication import Authenticator
from safelight.accounts.scopes import Role
from safelight.audit import NewLine
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.db.types import clock
from safelight.errors import NotFound
from safelight.identity import member_store, store, throttling
from safelight.identity.errors import (
    EmailTaken,
    LastOne,
    PasswordWrong,
    PersonNeeded,
    TokenInvalid,
)
from safelight.identity.passwords import Passwords
from safelight.identity.post import Letter, Post
from safelight.identity.user import (
    EMAIL_LASTS,
    RESET_LASTS,
    Membership,
    Purpose,
    User,
    hash_token,
    new_token,
)

_NO_USER = "There is no such user."


@dataclass(frozen=True, slots=True)
class Person:
    """A user with all memberships."""

    user: User
    memberships: list[Membership]


@dataclass(frozen=True, slots=True)
class Created:
    """A new user; without a password, `url` is the link to choose one."""

    person: Person
    url: str | None = field(repr=False)


class People:
    """Users, their passwords and addresses."""

    def __init__(
        self, database: Database, passwords: Passwords, authenticator: Authenticator, post: Post
    ) -> None:
        self._db = database
        self._passwords = passwords
        self._authenticator = authenticator
        self._post = post

    # --- by operators ------------------------------------------------------------------------

    async def create(
        self,
        caller: Caller,
        email: str,
        *,
        password: str | None,
        is_operator: bool,
        account_id: str,
        role: Role,
    ) -> Created:
        """Create a user with a first membership; raise `EmailTaken`, or `NotFound` of the account.

        Without a password, the link to choose one is good for an hour.
        """
        hashed = "" if password is None else await self._passwords.hash(password)
        token = new_token()

        def write(tx: Connection) -> Person | None:
            if account_store.get_account(tx, account_id) is None:
                raise NotFound("There is no such account.")
            user = store.insert(tx, email, password=hashed, is_operator=is_operator)
            if user is None:
                return None
            member_store.add(tx, account_id, user.id, role)
            if not hashed:
                digest = hash_token(token)
                store.keep_token(tx, user.id, Purpose.RESET, digest, lasts=RESET_LASTS)
            told = {"email": email, "role": role.value, "operator": is_operator}
            audit.append(tx, [NewLine(account_id, caller.key_id, "user.created", user.id, told)])
            return Person(user, member_store.of_user(tx, user.id))

        person = await self._db.write(write)
        if person is None:
            raise EmailTaken(f"{email} is a user already.")
        return Created(person, None if hashed else self._post.url_of(_reset_path(token)))

    async def page(
        self, *, before: str | None, limit: int, email: str | None = None
    ) -> list[Person]:
        """Return up to `limit` users older than id `before`, newest first.

        With `email`, only the user of that address.
        """

        def read(tx: Connection) -> list[Person]:
            found = store.page(tx, before=before, limit=limit, email=email)
            theirs: dict[str, list[Membership]] = {user.id: [] for user in found}
            for membership in member_store.of_users(tx, theirs):
                theirs[membership.user_id].append(membership)
            return [Person(user, theirs[user.id]) for user in found]

        return await self._db.read(read)

    async def change(
        self, caller: Caller, user_id: str, *, is_enabled: bool | None, is_operator: bool | None
    ) -> Person:
        """Enable, disable, promote or demote a user; raise `NotFound` or `LastOne`.

        A disabled user's sessions end.
        """

        def write(tx: Connection) -> Person:
            user = _existing(tx, user_id)
            ends = user.is_operator and False in (is_enabled, is_operator)
            if ends and not store.other_operators(tx, user_id):
                raise LastOne("This is the last operator. Make another one first.")
            if is_enabled is False:
                _check_other_admins(tx, user_id)
                key_store.revoke_of(tx, user_id)
            values: dict[str, object] = {}
            if is_enabled is not None:
                values["disabled_at"] = None if is_enabled else user.disabled_at or clock(tx)
            if is_operator is not None:
                values["is_operator"] = is_operator
            store.change(tx, user_id, **values)
            told = {"enabled": is_enabled, "operator": is_operator}
            line = NewLine(caller.account_id, caller.key_id, "user.changed", user_id, told)
            audit.append(tx, [line])
            return Person(_existing(tx, user_id), member_store.of_user(tx, user_id))

        changed = await self._db.write(write)
        self._authenticator.forget_person(user_id)
        return changed

    async def reset_link(self, caller: Caller, user_id: str) -> str:
        """Return a link to choose a new password, for an operator to hand over."""
        token = new_token()

        def write(tx: Connection) -> None:
            user = _existing(tx, user_id)
            digest = hash_token(token)
            store.keep_token(tx, user.id, Purpose.RESET, digest, lasts=RESET_LASTS)
            line = NewLine(caller.account_id, caller.key_id, "user.reset_link_made", user_id)
            audit.append(tx, [line])

        await self._db.write(write)
        return self._post.url_of(_reset_path(token))

    async def has_password(self) -> bool:
        """Return whether anybody can sign in with a password."""
        return await self._db.read(store.has_password)

    # --- by anybody --------------------------------------------------------------------------

    async def forgot(self, email: str, *, address: str) -> None:
        """Mail a link to choose a new password, if there is such a user; nothing tells.

        At most five mails an hour go to one mailbox. Raise `MailMissing`, `TooManyAttempts`.
        """
        self._post.check()
        token = new_token()

        def write(tx: Connection) -> User | bool | None:
            if not throttling.ask_for_mail(tx, address):
                return False
            may_be_sent = throttling.mail(tx, email)
            user = store.find_by_email(tx, email)
            if user is None or user.disabled_at is not None or not may_be_sent:
                return None
            digest = hash_token(token)
            store.keep_token(tx, user.id, Purpose.RESET, digest, lasts=RESET_LASTS)
            return user

        found = await self._db.write(write)
        if found is False:
            raise throttling.refused_mail()
        if isinstance(found, User):
            # A full queue must not tell either.
            self._post.tell(
                Letter(
                    found.email,
                    "Choose a new password",
                    "Somebody asked for a new password for your user. If that was you, follow this "
                    "link within an hour. If not, do nothing: your password stays.",
                    _reset_path(token),
                    "Choose a password",
                )
            )

    async def reset(self, token: str, password: str) -> None:
        """Set a new password by a link's token; all sessions end. Raise `TokenInvalid`."""
        digest = hash_token(token)
        owner = await self._db.read(lambda tx: store.token_owner(tx, Purpose.RESET, digest))
        if owner is None:
            raise TokenInvalid
        hashed = await self._passwords.hash(password)

        def write(tx: Connection) -> User | None:
            used = store.use_token(tx, Purpose.RESET, digest)
            if used is None:
                return None
            return _set_password(tx, used[0], hashed)

        user = await self._db.write(write)
        if user is None:
            raise TokenInvalid
        self._authenticator.forget_person(user.id)
        self._tell_of_password(user)

    async def confirm_email(self, token: str) -> User:
        """Give a user the address that a mail's token proves; raise `TokenInvalid`, `EmailTaken`.

        The former address is told.
        """
        digest = hash_token(token)

        def write(tx: Connection) -> tuple[User, User] | None:
            used = store.use_token(tx, Purpose.EMAIL, digest)
            if used is None:
                return None
            user_id, email = used
            former = _existing(tx, user_id)
            if not store.set_email(tx, user_id, email):
                raise EmailTaken
            return former, _existing(tx, user_id)

        changed = await self._db.write(write)
        if changed is None:
            raise TokenInvalid
        former, user = changed
        if former.email_key != user.email_key:
            text = f"Your e-mail address here is now {user.email}"
            self._tell(former, "Your e-mail address was changed", text)
        return user

    # --- by themselves -----------------------------------------------------------------------

    async def of(self, caller: Caller) -> User:
        """Return the signed-in user; raise `PersonNeeded` for other credentials."""
        return (await self.me(caller)).user

    async def me(self, caller: Caller) -> Person:
        """Return the signed-in user with memberships; raise `PersonNeeded`."""
        user_id = caller.user_id
        if user_id is None:
            raise PersonNeeded("Sign in with e-mail address and password.")

        def read(tx: Connection) -> Person:
            return Person(_existing(tx, user_id), member_store.of_user(tx, user_id))

        return await self._db.read(read)

    async def confirm(self, caller: Caller, password: str, *, address: str) -> User:
        """Return the signed-in user if the current password is right.

        Raise `PersonNeeded`, `PasswordWrong`, or `TooManyAttempts` after ten wrong ones.
        """
        user = await self.of(caller)
        if not await self._db.write(lambda tx: throttling.guess(tx, user.email, address)):
            raise throttling.refused()
        is_right, _ = await self._passwords.verify(password, user.password)
        if not is_right:
            raise PasswordWrong
        await self._db.write(lambda tx: throttling.forgive(tx, user.email, address))
        return user

    async def change_password(
        self, caller: Caller, current: str, password: str, *, address: str
    ) -> None:
        """Set a new password; all other sessions end."""
        user = await self.confirm(caller, current, address=address)
        hashed = await self._passwords.hash(password, field="new_password")

        def write(tx: Connection) -> None:
            _set_password(tx, user.id, hashed, but=caller.key_id)
            line = NewLine(caller.account_id, caller.key_id, "user.password_changed", user.id)
            audit.append(tx, [line])

        await self._db.write(write)
        self._authenticator.forget_person(user.id)
        self._tell_of_password(user)

    async def ask_to_confirm_email(
        self, caller: Caller, password: str, email: str, *, address: str
    ) -> None:
        """Mail a link that makes an address the user's, or verifies the present one.

        Nothing tells whether another user has it. Raise `MailMissing`, `TooManyAttempts`.
        """
        self._post.check()
        user = await self.confirm(caller, password, address=address)
        token = new_token()

        def write(tx: Connection) -> bool | None:
            if not throttling.mail(tx, email):
                return None
            other = store.find_by_email(tx, email)
            if other is not None and other.id != user.id:
                return False
            digest = hash_token(token)
            store.keep_token(tx, user.id, Purpose.EMAIL, digest, lasts=EMAIL_LASTS, data=email)
            return True

        is_free = await self._db.write(write)
        if is_free is None:
            raise throttling.refused_mail()
        if is_free:
            text = "Follow this link within a day to confirm that this address is yours."
            path = f"email#token={token}"
            self._post.send(Letter(email, "Confirm your address", text, path, "Confirm"))
        else:
            text = "Somebody tried to give another user this address, which is yours already."
            self._post.send(Letter(email, "Your address was entered", text))

    def _tell_of_password(self, user: User) -> None:
        self._tell(user, "Your password was changed", "Your other sessions have ended")

    def _tell(self, user: User, title: str, text: str) -> None:
        self._post.tell(
            Letter(user.email, title, f"{text}. If that was not you, reset your password now.")
        )


def _reset_path(token: str) -> str:
    # Behind `#`: no browser sends that part, so no log and no Referer has it.
    return f"password#token={token}"


def _set_password(tx: Connection, user_id: str, hashed: str, *, but: str = "") -> User:
    store.change(tx, user_id, password=hashed)
    store.end_tokens(tx, user_id, *Purpose)
    key_store.revoke_of(tx, user_id, but=but)
    return _existing(tx, user_id)


def _check_other_admins(tx: Connection, user_id: str) -> None:
    for membership in member_store.of_user(tx, user_id):
        is_admin = membership.role is Role.ADMIN
        if is_admin and not member_store.other_admins(tx, membership.account_id, user_id):
            raise LastOne(
                f"This is the last admin of {membership.account_name} "
                f"({membership.account_id}). Make another one first."
            )


def _existing(tx: Connection, user_id: str) -> User:
    user = store.find(tx, user_id)
    if user is None:
        raise NotFound(_NO_USER)
    return user
