"""The command line: a client of the HTTP API, and the process that serves it.

Children that compute import the main module, and with it this file: it stays light.
"""


def main() -> None:
    """Run the command that was typed; exits with 0, or with a code of `cli/failure.py`."""
    from safelight.cli.commands import app  # noqa: PLC0415  see above

    app(prog_name="safelight")
