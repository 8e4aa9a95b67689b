"""Lists accounts, and imports one from a file."""

from collections import defaultdict

from safelight.accounts import store
from safelight.accounts.authentication import Authenticator
from safelight.accounts.keys import Keys
from safelight.accounts.scopes import ACCOUNT_SCOPES
from safelight.app import open_offline
from safelight.assets.usage import Used, used
from safelight.backup import import_account as bring_in
from safelight.cli.backup import readable, told
from safelight.cli.environment import read_settings
from safelight.cli.failure import Failure
from safelight.cli.interrupt import interruptible
from safelight.cli.show import Screen
from safelight.errors import SafelightError

_ASSETS = frozenset({"image", "model_3d"})


async def show_accounts(*, as_json: bool) -> None:
    """Print each account with how many assets and bytes it keeps."""
    screen = Screen()
    async with open_offline(read_settings()) as kept:
        accounts = await kept.database.read(store.all_accounts)
        found = await kept.database.read(used)
    of: defaultdict[str, list[Used]] = defaultdict(list)
    for each in found:
        of[each.account_id].append(each)
    for account in accounts:
        count = sum(each.count for each in of[account.id] if each.what in _ASSETS)
        size = sum(each.bytes for each in of[account.id])
        if as_json:
            said = {"id": account.id, "name": account.name, "assets": count, "bytes": size}
            screen.document(said | {"hold": account.hold or None})
        else:
            held = "\theld" if account.hold else ""
            screen.result(f"{account.id}\t{account.name}\t{count} assets\t{size} bytes{held}")


async def import_account(source: str) -> None:
    """Bring an account in, and print a new key of it."""
    path = readable(source)
    screen = Screen()
    try:
        async with open_offline(read_settings(), create=True) as kept:
            with interruptible("The account is not here yet: run the same command again."):
                account_id, done = await bring_in(kept.database, kept.storage, path, kept.scratch)
            keys = Keys(kept.database, Authenticator(kept.database))
            issued = await keys.create(account_id, "after the import", scopes=ACCOUNT_SCOPES)
    except SafelightError as error:
        raise Failure(error.detail) from None
    screen.note(f"{account_id} is here: {told(done)}. Its keys stayed behind; this is a new one:")
    screen.result(issued.secret)
