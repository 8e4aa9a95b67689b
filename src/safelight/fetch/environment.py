"""The proxies of HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, for calls to trusted servers."""

from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies  # noqa: TID251  reads variables, sends nothing

from safelight.fetch.proxy import Proxy


class EnvironmentProxies:
    """The environment's proxies, read once. Raises `ValueError` if one is not an HTTP proxy."""

    def __init__(self) -> None:
        variables = getproxies()
        self._proxies = {
            scheme: Proxy.parse(_complete(variables[scheme]))
            for scheme in ("http", "https", "all")
            if variables.get(scheme)
        }
        self._exempt = [part.strip().lower() for part in variables.get("no", "").split(",")]

    def proxy_for(self, url: str) -> Proxy | None:
        """Return the proxy of a URL; None if there is none or NO_PROXY exempts its host."""
        if not self._proxies:
            return None
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme) or self._proxies.get("all")
        if proxy is None or any(_covers(entry, parts) for entry in self._exempt if entry):
            return None
        return proxy


def _complete(url: str) -> str:
    """Return a proxy's URL with the scheme and port that variables may omit."""
    whole = url if "://" in url else f"http://{url}"
    parts = urlsplit(whole)
    return whole if parts.port else parts._replace(netloc=f"{parts.netloc}:80").geturl()


def _covers(entry: str, url: SplitResult) -> bool:
    """Return whether an entry of NO_PROXY (a name, its port, a network, `*`) covers a URL."""
    host = url.hostname or ""
    name = entry.removeprefix("*").removeprefix(".")
    if entry == "*" or name in (host, f"{host}:{url.port}") or host.endswith(f".{name}"):
        return True
    try:
        return ip_address(host) in ip_network(name.strip("[]"), strict=False)
    except ValueError:
        return False
