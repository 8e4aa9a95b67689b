"""Signs people in: the password, the second step, then a session; and out again."""

from dataclasses import dataclass, field

from safelight.accounts import key_store
from safelight.accounts.account import Caller, Key
from safelight.accounts.authentication import Authenticator
from safelight.accounts.sessions import Sessions
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.errors import NotFound
from safelight.identity import member_store, store, throttling
from safelight.identity.errors import CodeWrong, LoginFailed, LoginOff, NoAccount, PersonNeeded
from safelight.identity.passwords import Passwords
from safelight.identity.second_step import SecondStep
from safelight.identity.user import (
    SECOND_STEP_LASTS,
    Membership,
    Purpose,
    User,
    hash_token,
    new_token,
)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session."""

    session: str = field(repr=False)
    user: User
    account_id: str
    memberships: list[Membership]


@dataclass(frozen=True, slots=True)
class HalfSignedIn:
    """The password was right; `token` goes with the code of the second step, and nowhere else."""

    token: str = field(repr=False)


class Logins:
    """Logins and sessions of people. Unless they are `allowed`, every login is refused."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        second_step: SecondStep,
        sessions: Sessions,
        authenticator: Authenticator,
        *,
        allowed: bool,
    ) -> None:
        self._db = database
        self._passwords = passwords
        self._second_step = second_step
        self._sessions = sessions
        self._authenticator = authenticator
        self._allowed = allowed

    async def by_password(
        self, email: str, password: str, *, address: str, account_id: str | None
    ) -> SignedIn | HalfSignedIn:
        """Sign in by e-mail address and password, into the named account or the oldest.

        A wrong password, an unknown address and a disabled user get the same answer after the same
        time. Raise `LoginFailed`, `TooManyAttempts`, `NoAccount`, `LoginOff`.
        """
        self.check_allowed()
        if not await self._db.write(lambda tx: throttling.guess(tx, email, address)):
            raise throttling.refused()
        user = await self._db.read(lambda tx: store.find_by_email(tx, email))
        known = user.password if user and user.disabled_at is None else ""
        is_right, renewed = await self._passwords.verify(password, known)
        if not is_right or user is None:
            raise LoginFailed
        token = new_token()

        def write(tx: Connection) -> None:
            throttling.forgive(tx, email, address)
            if renewed:
                store.change(tx, user.id, password=renewed)
            if user.has_totp:
                store.keep_token(
                    tx,
                    user.id,
                    Purpose.SECOND_STEP,
                    hash_token(token),
                    lasts=SECOND_STEP_LASTS,
                    data=account_id or "",
                )

        await self._db.write(write)
        if user.has_totp:
            return HalfSignedIn(token)
        return await self.enter(user, account_id)

    async def by_code(self, token: str, code: str) -> SignedIn:
        """Finish a login by a code of the app or a recovery code.

        Raise `CodeWrong`, also for a token that is too old or used; `TooManyAttempts`.
        """
        self.check_allowed()
        digest = hash_token(token)

        def find(tx: Connection) -> tuple[User | None, str]:
            owner = store.token_owner(tx, Purpose.SECOND_STEP, digest)
            return (store.find(tx, owner[0]), owner[1]) if owner else (None, "")

        user, account_id = await self._db.read(find)
        if user is None:
            raise CodeWrong("This login took too long. Enter the password again.")
        await self._second_step.check(user, code)
        used = await self._db.write(lambda tx: store.use_token(tx, Purpose.SECOND_STEP, digest))
        if used is None:
            raise CodeWrong
        return await self.enter(user, account_id or None)

    async def enter(self, user: User, account_id: str | None) -> SignedIn:
        """Open a session of an authenticated user, in the named account or the oldest.

        Raise `NoAccount`.
        """
        theirs = await self._db.read(lambda tx: member_store.of_user(tx, user.id))
        chosen = next((each for each in theirs if account_id in (None, each.account_id)), None)
        if chosen is None:
            raise NoAccount("You are a member of no account there. Ask its admin to invite you.")
        caller = Caller(chosen.account_id, "", frozenset(), user_id=user.id)
        session = await self._sessions.start(caller)
        return SignedIn(session, user, chosen.account_id, theirs)

    async def switch(self, caller: Caller, account_id: str) -> SignedIn:
        """Replace the session by one in another account; raise `NoAccount`, `PersonNeeded`."""
        user_id = _person(caller)
        user = await self._db.read(lambda tx: store.find(tx, user_id))
        if user is None:
            raise NoAccount
        signed_in = await self.enter(user, account_id)
        await self._sessions.close(caller.key_id)
        return signed_in

    async def sessions(self, caller: Caller) -> list[Key]:
        """Return the signed-in user's open sessions in all accounts, newest first."""
        user_id = _person(caller)
        return await self._db.read(lambda tx: key_store.sessions_of(tx, user_id))

    async def revoke(self, caller: Caller, session_id: str) -> None:
        """End one of the signed-in user's sessions; raise `NotFound`."""
        user_id = _person(caller)

        def write(tx: Connection) -> int:
            return key_store.revoke_of(tx, user_id, only=session_id)

        if not await self._db.write(write):
            raise NotFound("There is no such session.")
        self._authenticator.forget(session_id)

    async def revoke_others(self, caller: Caller) -> None:
        """End all of the signed-in user's sessions but this one."""
        user_id = _person(caller)
        await self._db.write(lambda tx: key_store.revoke_of(tx, user_id, but=caller.key_id))
        self._authenticator.forget_person(user_id)

    def check_allowed(self) -> None:
        """Raise `LoginOff` where people cannot sign in."""
        if not self._allowed:
            raise LoginOff(
                "This installation takes API keys and login links only (SAFELIGHT_LOGIN=keys)."
            )


def _person(caller: Caller) -> str:
    if caller.user_id is None:
        raise PersonNeeded("Sign in with e-mail address and password.")
    return caller.user_id
