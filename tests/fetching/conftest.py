"""Servers on loopback, a cache to fetch into, and the command line."""

import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ssdconvert.cli import main
from ssdconvert.fetching.patience import Patience

from .bench import Bench
from .fault_server import FaultServer


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, token or certificate of whoever runs the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("NETRC", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def bench(tmp_path: Path, documents: Any) -> Bench:
    return Bench(tmp_path, documents["onnx"])


@pytest.fixture
def new_server() -> Iterator[Callable[..., FaultServer]]:
    """Start servers that end with the test."""
    servers = []

    def start(*arguments: Any) -> FaultServer:
        servers.append(FaultServer(*arguments))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def server(new_server: Callable[..., FaultServer]) -> FaultServer:
    return new_server()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, and its key, in one file."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not there: a certificate for localhost is needed")
    path = tmp_path_factory.mktemp("certificate") / "localhost.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    made += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*made, "-keyout", path, "-out", path], check=True, capture_output=True)
    return path


@pytest.fixture
def secure_server(
    certificate: Path, new_server: Callable[..., FaultServer], monkeypatch: pytest.MonkeyPatch
) -> FaultServer:
    """A server at https://localhost that clients trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    return new_server(context)


@pytest.fixture
def command(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Run `ssdconvert fetch` on a recipe with these URLs; return exit code, stdout and stderr.

    Whatever comes of it, nothing wrong is in the cache then. Attempts follow each other at once.
    """
    monkeypatch.setattr(Patience, "pause", lambda *_: 0.01)

    def run(urls: Any, *arguments: str, **told: Any) -> tuple[int, str, str]:
        path = bench.folder / "tried.yaml"
        path.write_text(yaml.safe_dump(bench.recipe(*urls, **told), sort_keys=False), "utf-8")
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["fetch", str(path), "--cache", str(bench.cache), *arguments])
        bench.check()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run
