"""The modules behind the commands, imported only when one runs: `--help` answers at once.

Unannotated, so that a type checker sees the modules themselves.
"""


def actions():
    """Return the module."""
    from safelight.cli import actions  # noqa: PLC0415

    return actions


def backup():
    """Return the module."""
    from safelight.cli import backup as keeping  # noqa: PLC0415

    return keeping


def account():
    """Return the module."""
    from safelight.cli.accounts import transfer  # noqa: PLC0415

    return transfer


def accounts():
    """Return the module."""
    from safelight.cli.accounts import managed  # noqa: PLC0415

    return managed


def keys():
    """Return the module."""
    from safelight.cli.accounts import keys  # noqa: PLC0415

    return keys


def signing_in():
    """Return the module."""
    from safelight.cli.profiles import sign_in  # noqa: PLC0415

    return sign_in


def people():
    """Return the module."""
    from safelight.cli.accounts import people  # noqa: PLC0415

    return people


def storage():
    """Return the module."""
    from safelight.cli import storage as files  # noqa: PLC0415

    return files


def doctor():
    """Return the module."""
    from safelight.cli import doctor as examination  # noqa: PLC0415

    return examination


def importing():
    """Return the module."""
    from safelight.cli.imports import command  # noqa: PLC0415

    return command


def operations():
    """Return the module."""
    from safelight.cli import operations  # noqa: PLC0415

    return operations


def server():
    """Return the module."""
    from safelight.cli.hosting import serve as server  # noqa: PLC0415

    return server


def sealing():
    """Return the module."""
    from safelight.cli import sealing  # noqa: PLC0415

    return sealing
