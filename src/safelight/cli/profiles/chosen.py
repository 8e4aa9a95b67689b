"""The profile that `--profile` names, for the command that runs."""

from contextvars import ContextVar

PROFILE: ContextVar[str] = ContextVar("profile", default="")  # empty: none is named
