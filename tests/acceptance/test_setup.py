"""Set-up behind a proxy that inspects TLS: uv, pip and npm trust the authorities of the system."""

import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

_ROOT = Path(__file__).parents[2]
_TOOLS = _ROOT / ".tools" / "bin"
_TIMEOUT_S = 60
_PACKAGE = "nothing-of-this-name"


@dataclass
class Registry:
    """An HTTPS server that has no package, and notes who got through to it."""

    port: int
    authority: Path
    asked: list[str] = field(default_factory=list[str])

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    found: Registry

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        found = Registry(server.server_port, tmp_path / "authority.pem")
        authority.cert_pem.write_to_path(str(found.authority))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def pip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pip of this machine, as setup.sh uses to fetch uv."""
    home = tmp_path_factory.mktemp("pip")
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    subprocess.run([base, "-m", "venv", home], check=True, timeout=_TIMEOUT_S)
    return home / "bin" / "pip"


@pytest.mark.parametrize("tool", ["uv", "pip", "npm"])
def test_trust_when_the_system_trusts_an_authority_lets_each_tool_through(
    registry: Registry, pip: Path, tmp_path: Path, tool: str
) -> None:
    out, index = str(tmp_path / "out"), f"{registry.url}/simple"
    commands = {
        "uv": f"{_TOOLS}/uv pip install --no-cache --target {out} --default-index {index}",
        "pip": f"{pip} download --retries 0 --no-cache-dir --dest {out} --index-url {index}",
        "npm": f"{_TOOLS}/npm view --fetch-retries=0 --cache={out} --registry={registry.url}/",
    }
    plain = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "UV_PYTHON_DOWNLOADS": "never",
        "NPM_CONFIG_GLOBALCONFIG": str(tmp_path / "npmrc"),  # this machine's may name a store
    }

    def run(script: str, **more: str) -> None:
        words = ["bash", "-c", script, "bash", *commands[tool].split(), _PACKAGE]
        subprocess.run(
            words, env=plain | more, cwd=_ROOT, timeout=_TIMEOUT_S, check=False, capture_output=True
        )

    run('exec "$@"')
    assert registry.asked == []  # the authority is unknown
    run('source scripts/trust.sh && exec "$@"', SSL_CERT_FILE=str(registry.authority))
    assert registry.asked
    assert _PACKAGE in registry.asked[0]


def test_trust_when_something_is_set_already_keeps_it(tmp_path: Path) -> None:
    script = 'source scripts/trust.sh && echo "$PIP_CERT $NODE_EXTRA_CA_CERTS $UV_SYSTEM_CERTS"'
    done = subprocess.run(
        ["bash", "-euc", script],
        env={"PIP_CERT": "mine", "NODE_EXTRA_CA_CERTS": "ours", "UV_SYSTEM_CERTS": "0"},
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=True,
    )
    assert done.stdout.split() == ["mine", "ours", "0"]
