"""Proxies, passwords and tokens: each goes to whom it is meant for, and is told to nobody."""

import logging
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.fetching.http_session import token_variable

from .bench import CONTENT, PINNED, SIZE, Bench, files_under
from .fault_server import FaultServer, Page, forward, raw, redirect, status
from .test_faults import COMMANDS

WHOLE = Page(CONTENT, '"v1"')
TOKEN, PASSWORD, SIGNATURE = "t0ken-of-a-friend", "pa55w0rd", "s1gnature"
BEARER = f"Bearer {TOKEN}"
BASIC = "Basic " + b64encode(f"friend:{PASSWORD}".encode()).decode()
HERE, LOCALHOST = "SSDCONVERT_TOKEN_127_0_0_1", "SSDCONVERT_TOKEN_LOCALHOST"
SIGNED = (
    f"?X-Amz-Credential={SIGNATURE}1&X-Amz-Signature={SIGNATURE}2&sig={SIGNATURE}3&access_token={SIGNATURE}4"
)


def sent(server: FaultServer, header: str = "authorization") -> list[str | None]:
    """What each request told in a header."""
    return [request.headers.get(header) for request in server.asked]


def with_user(url: str) -> str:
    """The URL with a user and a password."""
    return url.replace("://", f"://friend:{PASSWORD}@")


@pytest.fixture
def proxy(new_server: Callable[..., FaultServer], monkeypatch: pytest.MonkeyPatch) -> FaultServer:
    """A proxy that the environment names for plain HTTP."""
    server = new_server()
    server.otherwise = forward
    monkeypatch.setenv("http_proxy", server.url)
    return server


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A .netrc with a password for 127.0.0.1."""
    path = tmp_path / "passwords"
    path.write_text(f"machine 127.0.0.1 login friend password {PASSWORD}\n", "utf-8")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    return path


# --- proxies


def test_a_proxy_by_environment(bench: Bench, server: FaultServer, proxy: FaultServer) -> None:
    url = server.on("/m", replace(WHOLE, cut=SIZE // 3), WHOLE)
    bench.fetch(url, **PINNED)
    assert {request.path for request in proxy.asked} == {url}
    assert len(server.asked) == len(proxy.asked)


def test_no_proxy(
    bench: Bench, server: FaultServer, proxy: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "example.org,127.0.0.1")
    bench.fetch(server.on("/m", WHOLE))
    assert proxy.asked == []


def test_a_proxy_that_is_not_there(bench: Bench, server: FaultServer, proxy: FaultServer) -> None:
    proxy.close()
    error = bench.refused(server.on("/m", WHOLE))
    assert f"the proxy {proxy.url} of the environment: Connection refused" in error.message
    assert server.asked == []


def test_the_password_of_a_proxy(
    bench: Bench, server: FaultServer, proxy: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", with_user(proxy.url))
    bench.fetch(server.on("/m", WHOLE))
    assert sent(proxy, "proxy-authorization") == [BASIC]
    assert sent(server, "proxy-authorization") == [None]


def test_a_proxy_that_wants_a_password(
    bench: Bench, server: FaultServer, proxy: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", with_user(proxy.url))
    proxy.otherwise = status("407 Proxy Authentication Required")
    error = bench.refused(server.on("/m", WHOLE))
    assert "HTTP 407" in error.message
    assert "HTTP_PROXY may be http://USER:PASSWORD@HOST:PORT" in error.message
    assert "SSDCONVERT_TOKEN" not in error.message
    assert PASSWORD not in error.message + error.hint


def test_a_proxy_that_wants_a_password_for_a_tunnel(
    bench: Bench, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", with_user(server.url))
    server.otherwise = status("407 Proxy Authentication Required")
    error = bench.refused("https://models.example.org/m")
    assert f"the proxy {server.url.replace('://', '://***@')} of the environment: " in error.message
    assert "407" in error.message
    assert "HTTPS_PROXY and HTTP_PROXY may be http://USER:PASSWORD@HOST:PORT" in error.message
    assert len(server.asked) == 1  # in vain as often as it is tried
    assert PASSWORD not in error.message + error.hint


# --- who gets a token


def test_a_token_goes_to_its_host(bench: Bench, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HERE, TOKEN)
    monkeypatch.setenv(LOCALHOST, "another")
    bench.fetch(server.on("/m", status("503 Busy"), replace(WHOLE, cut=5), WHOLE))
    assert sent(server) == [BEARER] * 3


def test_a_token_goes_to_its_host_alone(
    bench: Bench, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOCALHOST, TOKEN)
    bench.fetch(server.on("/m", WHOLE))
    assert sent(server) == [None]


@pytest.mark.parametrize("line", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_redirect_on_the_same_server_keeps_the_token(
    bench: Bench, server: FaultServer, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setenv(HERE, TOKEN)
    server.on("/there", WHOLE)
    bench.fetch(server.on("/m", redirect("/there", line)))
    assert sent(server) == [BEARER] * 2


@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("line", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_redirect_takes_a_token_or_password_to_another_server(
    bench: Bench, server: FaultServer, new_server: Any, monkeypatch: pytest.MonkeyPatch, line: str, host: str,
    user: bool,
) -> None:  # fmt: skip
    """Not to another host, nor to another port of the same."""
    other = new_server()
    if not user:
        monkeypatch.setenv(HERE, TOKEN)
    there = other.on("/there", WHOLE).replace("127.0.0.1", host)
    server.on("/tried/model.onnx", redirect("/hop", line))
    server.on("/hop", redirect(there, line))
    bench.fetch(mirror=with_user(server.url) if user else server.url, **PINNED)
    assert sent(server) == [BASIC if user else BEARER] * 2
    assert sent(other) == [None]


def test_a_redirect_from_https_to_http_takes_no_token(
    bench: Bench, secure_server: FaultServer, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOCALHOST, TOKEN)
    there = server.on("/m", WHOLE).replace("127.0.0.1", "localhost")
    bench.fetch(secure_server.on("/m", redirect(there)), **PINNED)
    assert sent(secure_server) == [BEARER]
    assert sent(server) == [None]


def test_over_plain_http_a_token_stays_on_this_machine(
    bench: Bench, proxy: FaultServer, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy reads what it forwards, and may be another machine."""
    monkeypatch.setenv("SSDCONVERT_TOKEN_MODELS_EXAMPLE_ORG", TOKEN)
    monkeypatch.setenv(HERE, TOKEN)
    proxy.on("http://models.example.org/m", WHOLE)
    bench.fetch("http://models.example.org/m", name="a/model.onnx", **PINNED)
    assert sent(proxy) == [None]
    bench.refused(server.on("/m", WHOLE), size=SIZE + 1)
    assert sent(server) == [None]


def test_an_address_that_can_be_read_in_two_ways(
    bench: Bench, server: FaultServer, monkeypatch: pytest.MonkeyPatch, netrc: Path
) -> None:
    """urllib takes what follows `@` for the host, and connects to what stands before the backslash."""
    netrc.write_text(f"machine localhost login friend password {PASSWORD}\n", "utf-8")
    url = server.on("/m", WHOLE).replace("/m", "\\@localhost/m")
    for _ in range(2):
        bench.refused("http://127.0.0.1:1/m", mirror=url)
        monkeypatch.setenv(LOCALHOST, TOKEN)
    assert server.asked
    assert set(sent(server)) == {None}


def test_names_of_variables() -> None:
    assert token_variable("models.example.com") == "SSDCONVERT_TOKEN_MODELS_EXAMPLE_COM"
    assert token_variable("my-models.example.com") == "SSDCONVERT_TOKEN_MY__MODELS_EXAMPLE_COM"
    assert token_variable("::1") == "SSDCONVERT_TOKEN___1"


@pytest.mark.parametrize("token", [f" {TOKEN}\n", f"{TOKEN}\r\n"])
def test_a_token_from_a_file_may_end_in_a_line_break(
    bench: Bench, server: FaultServer, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv(HERE, token)
    bench.fetch(server.on("/m", WHOLE))
    assert sent(server) == [BEARER]


@pytest.mark.parametrize(
    "token", [f"{TOKEN}\nX-Evil: 1", f"{TOKEN} two", f"{TOKEN}\x7f", f"t\xf6ken-{TOKEN}"]
)
def test_what_cannot_be_a_token(
    bench: Bench, server: FaultServer, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv(HERE, token)
    error = bench.refused(server.on("/m", WHOLE))
    assert f"{HERE} holds no token" in error.message
    assert TOKEN not in error.message
    assert server.asked == []


# --- who gets a password


def test_a_password_from_netrc(bench: Bench, server: FaultServer, netrc: Path) -> None:
    bench.fetch(server.on("/m", replace(WHOLE, cut=5), WHOLE))
    assert sent(server) == [BASIC] * 2


def test_a_password_from_netrc_at_home(bench: Bench, server: FaultServer) -> None:
    path = Path("~/.netrc").expanduser()
    path.write_text(f"machine 127.0.0.1 login friend password {PASSWORD}\n", "utf-8")
    path.chmod(0o600)
    bench.fetch(server.on("/m", WHOLE))
    assert sent(server) == [BASIC]


@pytest.mark.parametrize("text", ["machine", "machine 127.0.0.1 login", "\x00"])
def test_a_netrc_that_cannot_be_read(bench: Bench, server: FaultServer, netrc: Path, text: str) -> None:
    netrc.write_text(text)
    bench.fetch(server.on("/m", WHOLE))
    assert sent(server) == [None]


def test_a_token_goes_before_netrc(
    bench: Bench, server: FaultServer, netrc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HERE, TOKEN)
    bench.fetch(server.on("/m", WHOLE))
    assert sent(server) == [BEARER]


def test_the_mirrors_own_password_goes_before_either(
    bench: Bench, server: FaultServer, netrc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc.write_text("default login somebody password else\n", "utf-8")
    monkeypatch.setenv(HERE, TOKEN)
    server.on("/tried/model.onnx", WHOLE)
    fetched = bench.fetch(mirror=with_user(server.url))
    assert sent(server) == [BASIC]
    assert fetched.origin == server.url.replace("://", "://***@") + "/tried/model.onnx"


# --- who is told a secret: nobody


def secret_in(text: str) -> list[str]:
    """The secrets that a text gives away, as they are or as they are sent."""
    return [secret for secret in (TOKEN, PASSWORD, SIGNATURE, BASIC.split()[1]) if secret in text]


@pytest.fixture
def secrets(
    bench: Bench, server: FaultServer, netrc: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], tuple[str, str]]:
    """Return the mirror and the URL by which a path is asked for, with all kinds of secrets."""
    monkeypatch.setenv(HERE, TOKEN)

    def where(path: str) -> tuple[str, str]:
        return with_user(server.url) + "/mirror" + SIGNED, server.url + path

    return where


@pytest.mark.parametrize("how", ["-v", "--json"])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_failure_tells_a_secret(
    bench: Bench, server: FaultServer, command: Any, secrets: Any, name: str, how: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    mirror, url = secrets("/m")
    answers, told, _ = COMMANDS[name]
    server.on("/m", *answers)
    server.on("/mirror/tried/model.onnx" + SIGNED, *answers)
    code, out, err = command([url], "--mirror", mirror, how, **told)
    assert code == 3
    assert sent(server)[0] == BASIC
    assert BEARER in sent(server)
    assert secret_in(out + err + caplog.text + bench.written()) == []


def test_neither_does_a_success(
    bench: Bench, server: FaultServer, command: Any, secrets: Any, caplog: pytest.LogCaptureFixture
) -> None:
    mirror, url = secrets("/m")
    caplog.set_level(logging.DEBUG)
    server.on("/m", status("404 Not Found"))
    there = server.on(f"/there{SIGNED}", replace(WHOLE, cut=5), raw(b""), WHOLE)
    server.on("/mirror/tried/model.onnx" + SIGNED, redirect(there))
    code, out, err = command([url], "--mirror", mirror, "-v", "--json")
    assert code == 0
    assert secret_in(out + err + caplog.text + bench.written()) == []
    assert "***@127.0.0.1" in out


def test_neither_do_events_and_what_is_left_of_a_cut(bench: Bench, server: FaultServer, secrets: Any) -> None:
    mirror, url = secrets("/m")
    server.on("/m", status("403 Forbidden"))
    server.on("/mirror/tried/model.onnx" + SIGNED, replace(WHOLE, cut=5))
    error = bench.refused(url, mirror=mirror)
    assert [path.suffix for path in files_under(bench.cache / ".partial")] == ["", ".json"]
    assert {event.kind for event in bench.events} >= {"started", "progress", "retry", "refused", "failed"}
    assert secret_in(repr(bench.events) + error.message + error.hint + bench.written()) == []


@pytest.mark.parametrize(
    "location", ["x{}", "http://[::1{}", "http://127.0.0.1:1/m{}", "http://127.0.0.1:x/m{}"]
)
def test_neither_does_where_a_server_sends_us(
    bench: Bench, server: FaultServer, caplog: pytest.LogCaptureFixture, location: str
) -> None:
    """Where signed addresses lead to is told without the signature."""
    leads = (
        location.format(SIGNED)
        if "://" in location
        else f"{location.format('')}://friend:{PASSWORD}@a/{SIGNED}"
    )
    error = bench.refused(server.on("/m", redirect(leads)))
    assert secret_in(error.message + error.hint + repr(bench.events) + caplog.text) == []


def test_neither_do_headers_that_cannot_be_read(
    bench: Bench, server: FaultServer, secrets: Any, command: Any
) -> None:
    """urllib3 logs the URL then, and a traceback."""
    mirror, url = secrets("/m")
    broken = b"HTTP/1.1 200 OK\r\nthis is no header\r\nContent-Length: 5\r\n\r\nhello"
    server.on("/mirror/tried/model.onnx" + SIGNED, raw(broken))
    code, out, err = command([url], "--mirror", mirror)
    assert code == 3
    assert secret_in(out + err) == []
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "mirror", ["ftp://friend:{}@a/b", "s3://a/b?token={}", "https://friend:pa#{}@a.invalid/"]
)
def test_neither_does_a_mirror_that_is_none(bench: Bench, mirror: str) -> None:
    error = bench.refused("http://127.0.0.1:1/m", mirror=mirror.format(PASSWORD))
    assert secret_in(error.message + error.hint + repr(bench.events)) == []


def test_neither_does_a_build(
    server: FaultServer, own_nms_file: Path, recipe_file: Callable[..., Path], documents: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from ssdconvert.build_result import BuildOptions
    from ssdconvert.catalog import Catalog
    from ssdconvert.fetching.options import FetchOptions
    from ssdconvert.pipeline import build

    monkeypatch.setenv(HERE, TOKEN)
    server.on("/own-nms/own-nms.onnx" + SIGNED, Page(own_nms_file.read_bytes()))
    fetching = FetchOptions(tmp_path / "cache", with_user(server.url) + SIGNED)
    entry = Catalog().find(str(recipe_file(documents["onnx"])))
    result = build(entry, BuildOptions(tmp_path / "out", fetching, ("FP32",)), "manifest")
    assert sent(server) == [BASIC]
    assert secret_in(repr(result)) == []
    assert "***@127.0.0.1" in repr(result)
    assert (tmp_path / "out" / "manifest.json").is_file()
    for path in files_under(tmp_path / "out"):
        assert secret_in(path.read_bytes().decode("latin-1")) == [], path
