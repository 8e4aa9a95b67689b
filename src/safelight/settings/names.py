"""Names of environment variables: a misspelled one is reported, not ignored."""

import difflib
import re
from collections.abc import Iterable, Mapping

_PREFIX = "SAFELIGHT_"
_LINK = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?$")


def unknown_names(variables: Mapping[str, str], known: Iterable[str]) -> list[str]:
    """Return a complaint about each `SAFELIGHT_…` name that is no setting, with the nearest one."""
    settings = {f"{_PREFIX}{name}".upper() for name in known}
    return [
        _complaint(name, settings)
        for name, value in sorted(variables.items())
        if name.upper().startswith(_PREFIX)
        if name.upper() not in settings and not _is_service_link(name, value)
    ]


def _is_service_link(name: str, value: str) -> bool:
    """Return whether Kubernetes set the variable, as it does for a service named safelight-api."""
    return bool(_LINK.search(name)) or (name.endswith("_PORT") and "://" in value)


def _complaint(name: str, settings: set[str]) -> str:
    near = difflib.get_close_matches(name.upper(), settings, n=1, cutoff=0.8)
    hint = f"did you mean {near[0]}?" if near else "docs/settings.md lists all settings"
    return f"{name}: there is no such setting; {hint}"
