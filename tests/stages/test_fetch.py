"""Fetching from folders, files and real HTTP servers on loopback: the right file or a clear refusal."""

import errno
import hashlib
import http.server
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.errors import FetchError
from ssdconvert.fetching.cache import Cache, key_of
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.fetching.patience import Patience
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import File
from ssdconvert.resources import package_file
from ssdconvert.stages.fetch import fetch, fetch_if_near

CONTENT = bytes(range(256)) * 500
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SHA384 = hashlib.sha384(CONTENT).hexdigest()


class Server:
    """An HTTP server on loopback; `pages` are path -> (status, body), `asked` what was asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                status, body = server.pages.get(self.path, (404, b"not here"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    return  # the client had enough

            def log_message(self, *_: Any) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def recipe(tiny_recipe: Any, **file: Any) -> Recipe:
    source = {"kind": "pytorch", "network": "ultraface", "files": [{"name": "m.pth", "urls": []} | file]}
    made: Recipe = tiny_recipe(source=source)
    return made


def options(tmp_path: Path, **changes: Any) -> FetchOptions:
    quick = Patience(attempts=2, timeout=2, first_pause=0.01)
    return FetchOptions(tmp_path / "cache", patience=quick, **changes)


def names_in_cache(tmp_path: Path) -> list[str]:
    folder = tmp_path / "cache" / "tiny"
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != "lock.json")


@pytest.fixture
def mirror_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    (folder / "tiny").mkdir(parents=True)
    (folder / "tiny" / "m.pth").write_bytes(CONTENT)
    return folder


def test_from_a_mirror_folder_and_then_from_the_cache(
    tmp_path: Path, tiny_recipe: Any, mirror_folder: Path
) -> None:
    wanted = recipe(tiny_recipe, size=len(CONTENT), sha256=SHA256)
    (first,) = fetch(wanted, options(tmp_path, mirror=str(mirror_folder)))
    assert first.path.read_bytes() == CONTENT
    assert (first.sha256, first.bytes, first.pinned) == (SHA256, len(CONTENT), True)
    assert first.origin == str(mirror_folder / "tiny" / "m.pth")
    (mirror_folder / "tiny" / "m.pth").unlink()
    (second,) = fetch(wanted, options(tmp_path))
    assert (second.origin, second.path) == ("cache", first.path)


def test_the_mirror_is_asked_first_then_each_url(tmp_path: Path, tiny_recipe: Any, server: Server) -> None:
    server.pages["/b/m.pth"] = (200, CONTENT)
    urls = [f"{server.url}/a/m.pth", f"{server.url}/b/m.pth", f"{server.url}/c/m.pth"]
    (fetched,) = fetch(
        recipe(tiny_recipe, urls=urls, sha256=SHA256), options(tmp_path, mirror=f"{server.url}/mirror/")
    )
    assert fetched.origin == urls[1]
    assert server.asked == ["/mirror/tiny/m.pth", "/a/m.pth", "/b/m.pth"]


def test_a_mirror_may_be_a_url(tmp_path: Path, tiny_recipe: Any, server: Server) -> None:
    server.pages["/models/tiny/deep/m%20x.pth"] = (200, CONTENT)
    wanted = recipe(tiny_recipe, name="deep/m x.pth", sha256=SHA256)
    (fetched,) = fetch(wanted, options(tmp_path, mirror=f"{server.url}/models"))
    assert fetched.path == tmp_path / "cache" / "tiny" / "deep" / "m x.pth"


def test_files_and_the_package_are_sources_too(tmp_path: Path, tiny_recipe: Any) -> None:
    (tmp_path / "with space.pth").write_bytes(CONTENT)
    url = (tmp_path / "with space.pth").as_uri()
    (fetched,) = fetch(recipe(tiny_recipe, urls=[url], sha256=SHA256), options(tmp_path, offline=True))
    assert fetched.origin == url
    wanted = recipe(tiny_recipe, name="p.jpg", urls=["package:images/portrait.jpg"])
    (fetched,) = fetch(wanted, options(tmp_path, offline=True))
    assert fetched.path.read_bytes() == package_file("package:images/portrait.jpg").read_bytes()


@pytest.mark.parametrize(
    ("pinned", "message"),
    [
        ({"size": 5}, "expected 5 bytes, got 128 kB \\(128000 bytes\\)"),
        ({"sha256": "0" * 64}, f"expected sha256 {'0' * 64}, got {SHA256}"),
        ({"sha384": "0" * 96}, f"expected sha384 {'0' * 96}, got {SHA384}"),
        ({"sha256": SHA256, "sha384": "1" * 96}, "expected sha384"),
    ],
)
def test_another_file_is_not_used(
    tmp_path: Path, tiny_recipe: Any, mirror_folder: Path, pinned: dict[str, Any], message: str
) -> None:
    with pytest.raises(FetchError, match=message) as caught:
        fetch(recipe(tiny_recipe, **pinned), options(tmp_path, mirror=str(mirror_folder)))
    assert caught.value.exit_code == 3
    assert f"target: {tmp_path / 'cache' / 'tiny' / 'm.pth'}" in caught.value.message
    assert names_in_cache(tmp_path) == []


def test_another_file_from_the_web_is_kept_aside(tmp_path: Path, tiny_recipe: Any, server: Server) -> None:
    server.pages["/m.pth"] = (200, CONTENT)
    url = f"{server.url}/m.pth"
    with pytest.raises(FetchError, match=f"expected sha256 {'0' * 64}, got {SHA256}") as caught:
        fetch(recipe(tiny_recipe, urls=[url], sha256="0" * 64), options(tmp_path))
    target = tmp_path / "cache" / "tiny" / "m.pth"
    assert f"kept as {target}.rejected and not used" in caught.value.message
    assert f"curl --fail --location --create-dirs --output {target} {url}" in caught.value.hint
    assert names_in_cache(tmp_path) == ["m.pth.rejected"]
    assert server.asked == ["/m.pth"]


def test_a_wrong_file_at_one_address_does_not_hide_the_right_one_at_the_next(
    tmp_path: Path, tiny_recipe: Any, server: Server, mirror_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (mirror_folder / "tiny" / "m.pth").write_bytes(b"wrong")
    server.pages["/m.pth"] = (200, CONTENT)
    wanted = recipe(tiny_recipe, urls=[f"{server.url}/m.pth"], sha256=SHA256)
    (fetched,) = fetch(wanted, options(tmp_path, mirror=str(mirror_folder)))
    assert fetched.origin == f"{server.url}/m.pth"
    assert "is not the file that the recipe names" in caplog.text


def test_a_web_page_is_called_one(tmp_path: Path, tiny_recipe: Any, server: Server) -> None:
    server.pages["/m.pth"] = (200, b"\n<!DOCTYPE html><html>moved</html>")
    with pytest.raises(FetchError, match="an HTML page"):
        fetch(recipe(tiny_recipe, urls=[f"{server.url}/m.pth"], sha256=SHA256), options(tmp_path))


def test_more_than_was_promised_is_not_taken(tmp_path: Path, tiny_recipe: Any, server: Server) -> None:
    server.pages["/m.pth"] = (200, b"x" * 50_000_000)
    with pytest.raises(FetchError, match=r"expected 10 bytes, got .*50 MB") as caught:
        fetch(recipe(tiny_recipe, urls=[f"{server.url}/m.pth"], size=10), options(tmp_path))
    assert f"{server.url}/m.pth" in caught.value.message
    assert sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file()) < 1000


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_what_was_tried_is_told(tmp_path: Path, tiny_recipe: Any, server: Server, status: int) -> None:
    server.pages["/m.pth"] = (status, b"no")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}/m.pth"
    with pytest.raises(FetchError) as caught:
        fetch(recipe(tiny_recipe, urls=[f"{server.url}/m.pth", dead]), options(tmp_path))
    assert f"{server.url}/m.pth" in caught.value.message
    assert str(status) in caught.value.message
    assert dead in caught.value.message
    assert "refused" in caught.value.message
    assert names_in_cache(tmp_path) == []


def test_a_damaged_cache_is_mended(tmp_path: Path, tiny_recipe: Any, mirror_folder: Path) -> None:
    wanted = recipe(tiny_recipe, sha256=SHA256)
    (first,) = fetch(wanted, options(tmp_path, mirror=str(mirror_folder)))
    first.path.write_bytes(CONTENT[:-1] + b"x")
    (again,) = fetch(wanted, options(tmp_path, mirror=str(mirror_folder)))
    assert again.origin != "cache"
    assert again.path.read_bytes() == CONTENT


def test_an_unpinned_file_is_remembered(tmp_path: Path, tiny_recipe: Any, mirror_folder: Path) -> None:
    wanted = recipe(tiny_recipe)
    (first,) = fetch(wanted, options(tmp_path, mirror=str(mirror_folder)))
    assert not first.pinned
    shutil.rmtree(tmp_path / "cache" / ".files")
    first.path.unlink()
    (mirror_folder / "tiny" / "m.pth").write_bytes(b"something else")
    with pytest.raises(FetchError, match=f"expected sha256 {SHA256}"):
        fetch(wanted, options(tmp_path, mirror=str(mirror_folder)))


def test_the_lock_is_that_of_what_is_known_when_it_is_held(
    tmp_path: Path, tiny_recipe: Any, mirror_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two processes write one partial file: by the time the first has a lock, its digest is remembered."""
    keys: list[str] = []
    locked = Cache.locked

    @contextmanager
    def remembered_meanwhile(
        cache: Cache, recipe: str, name: str, expected: Any, on_wait: Any
    ) -> Iterator[None]:
        with locked(cache, recipe, name, expected, on_wait):
            if not keys:
                cache.remember(recipe, name, SHA256)
            keys.append(key_of(recipe, name, expected))
            yield

    monkeypatch.setattr(Cache, "locked", remembered_meanwhile)
    (fetched,) = fetch(recipe(tiny_recipe), options(tmp_path, mirror=str(mirror_folder)))
    assert fetched.sha256 == SHA256
    assert keys[1:] == [SHA256]


def test_locked_refuses_what_is_unpinned(tmp_path: Path, tiny_recipe: Any, mirror_folder: Path) -> None:
    wanted = recipe(tiny_recipe)
    fetch(wanted, options(tmp_path, mirror=str(mirror_folder)))
    with pytest.raises(FetchError, match="unpinned") as caught:
        fetch(wanted, options(tmp_path, mirror=str(mirror_folder), locked=True))
    assert SHA256 in caught.value.hint
    fetch(recipe(tiny_recipe, sha256=SHA256), options(tmp_path, locked=True))


def test_a_damaged_lock_file_is_not_taken_for_an_empty_one(
    tmp_path: Path, tiny_recipe: Any, mirror_folder: Path
) -> None:
    fetch(recipe(tiny_recipe), options(tmp_path, mirror=str(mirror_folder)))
    (tmp_path / "cache" / "tiny" / "lock.json").write_text("{")
    with pytest.raises(FetchError, match=r"lock\.json is damaged"):
        fetch(recipe(tiny_recipe), options(tmp_path))


def test_offline_opens_no_socket(tmp_path: Path, tiny_recipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    wanted = recipe(tiny_recipe, urls=["https://example.invalid/m.pth"])
    with pytest.raises(FetchError, match="because of --offline") as caught:
        fetch(wanted, options(tmp_path, offline=True, mirror="http://example.invalid/mirror"))
    assert "--offline" in caught.value.hint


def test_a_cache_that_cannot_be_written(tmp_path: Path, tiny_recipe: Any, mirror_folder: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(FetchError, match="cannot be used") as caught:
        fetch(recipe(tiny_recipe), options(tmp_path, mirror=str(mirror_folder)))
    assert "--cache" in caught.value.hint


def test_a_refused_or_broken_connection_falls_through_to_the_next_url(
    tmp_path: Path, tiny_recipe: Any, server: Server
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}/m.pth"
    with socket.create_server(("127.0.0.1", 0)) as breaking:

        def break_off() -> None:
            connection, _ = breaking.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 128000\r\n\r\n" + CONTENT[:1000])

        threading.Thread(target=break_off, daemon=True).start()
        broken = f"http://127.0.0.1:{breaking.getsockname()[1]}/m.pth"
        server.pages["/m.pth"] = (200, CONTENT)
        whole = f"{server.url}/m.pth"
        (fetched,) = fetch(recipe(tiny_recipe, urls=[dead, broken, whole]), options(tmp_path))
    assert (fetched.origin, fetched.sha256) == (whole, SHA256)
    assert names_in_cache(tmp_path) == ["m.pth"]


def test_a_wrong_file_does_not_poison_the_cache(
    tmp_path: Path, tiny_recipe: Any, mirror_folder: Path
) -> None:
    wanted = recipe(tiny_recipe, name="deep/m.pth", sha256=SHA256)
    (mirror_folder / "tiny" / "deep").mkdir()
    (mirror_folder / "tiny" / "deep" / "m.pth").write_bytes(b"wrong")
    with pytest.raises(FetchError):
        fetch(wanted, options(tmp_path, mirror=str(mirror_folder)))
    assert names_in_cache(tmp_path) == []
    with pytest.raises(FetchError, match="nowhere to fetch it from"):
        fetch(wanted, options(tmp_path))
    (mirror_folder / "tiny" / "deep" / "m.pth").write_bytes(CONTENT)
    (fetched,) = fetch(wanted, options(tmp_path, mirror=str(mirror_folder)))
    assert fetched.path.read_bytes() == CONTENT


def test_an_unpinned_file_that_was_put_into_the_cache_is_remembered_too(
    tmp_path: Path, tiny_recipe: Any
) -> None:
    target = tmp_path / "cache" / "tiny" / "m.pth"
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT)
    (fetched,) = fetch(recipe(tiny_recipe), options(tmp_path))
    assert (fetched.origin, fetched.pinned) == ("cache", False)
    target.write_bytes(b"something else")
    with pytest.raises(FetchError, match="could not be had"):
        fetch(recipe(tiny_recipe), options(tmp_path))
    assert names_in_cache(tmp_path) == ["m.pth.rejected"]


# --- evidence: taken where it is near, never downloaded


def evidence(url: str = "", **pinned: Any) -> File:
    return File(name="recorded.tar.gz", urls=(url,) if url else (), **pinned)


def in_mirror(tmp_path: Path, content: bytes = CONTENT) -> Path:
    folder = tmp_path / "mirror" / "tiny"
    folder.mkdir(parents=True)
    (folder / "recorded.tar.gz").write_bytes(content)
    return tmp_path / "mirror"


def test_evidence_that_is_not_near_is_none(tmp_path: Path, tiny_recipe: Any, server: Server) -> None:
    server.pages["/recorded.tar.gz"] = (200, CONTENT)
    file = evidence(f"{server.url}/recorded.tar.gz")
    (tmp_path / "mirror").mkdir()
    for mirror in (None, str(tmp_path / "mirror"), str(tmp_path / "nowhere"), server.url):
        assert fetch_if_near(recipe(tiny_recipe), file, options(tmp_path, mirror=mirror)) is None
    assert server.asked == []
    assert not (tmp_path / "cache").exists()


def test_a_mirror_on_the_web_is_not_near(tmp_path: Path, tiny_recipe: Any, server: Server) -> None:
    """Not even to mend what is damaged in the cache."""
    server.pages["/tiny/recorded.tar.gz"] = (200, CONTENT)
    cached = tmp_path / "cache" / "tiny" / "recorded.tar.gz"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"damaged")
    with pytest.raises(FetchError, match=r"recorded\.tar\.gz of tiny could not be had"):
        fetch_if_near(recipe(tiny_recipe), evidence(sha256=SHA256), options(tmp_path, mirror=server.url))
    assert server.asked == []
    assert names_in_cache(tmp_path) == ["recorded.tar.gz.rejected"]


@pytest.mark.parametrize("as_url", [False, True])
def test_evidence_in_a_mirror_is_checked_and_cached(tmp_path: Path, tiny_recipe: Any, as_url: bool) -> None:
    mirror = in_mirror(tmp_path)
    given = options(tmp_path, mirror=mirror.as_uri() if as_url else str(mirror), offline=True)
    found = fetch_if_near(recipe(tiny_recipe), evidence("https://example.invalid/x", sha256=SHA256), given)
    assert found is not None
    assert (found.name, found.sha256, found.pinned) == ("recorded.tar.gz", SHA256, True)
    assert found.path == tmp_path / "cache" / "tiny" / "recorded.tar.gz"
    again = fetch_if_near(recipe(tiny_recipe), evidence(sha256=SHA256), options(tmp_path))
    assert again is not None
    assert (again.origin, again.path) == ("cache", found.path)


@pytest.mark.parametrize("pinned", [{"sha256": "0" * 64}, {"sha384": "0" * 96}, {"size": 5}])
def test_wrong_evidence_in_a_mirror_is_an_error(tmp_path: Path, tiny_recipe: Any, pinned: Any) -> None:
    mirror = in_mirror(tmp_path)
    with pytest.raises(FetchError, match="is not the file that the recipe names") as caught:
        fetch_if_near(recipe(tiny_recipe), evidence(**pinned), options(tmp_path, mirror=str(mirror)))
    assert caught.value.exit_code == 3
    assert names_in_cache(tmp_path) == []


def test_unpinned_evidence_is_remembered_and_refused_by_locked(tmp_path: Path, tiny_recipe: Any) -> None:
    mirror = str(in_mirror(tmp_path))
    assert fetch_if_near(recipe(tiny_recipe), evidence(), options(tmp_path, mirror=mirror)) is not None
    with pytest.raises(FetchError, match="unpinned"):
        fetch_if_near(recipe(tiny_recipe), evidence(), options(tmp_path, mirror=mirror, locked=True))
    shutil.rmtree(tmp_path / "cache" / ".files")
    (tmp_path / "cache" / "tiny" / "recorded.tar.gz").unlink()
    (tmp_path / "mirror" / "tiny" / "recorded.tar.gz").write_bytes(b"another")
    with pytest.raises(FetchError, match=f"expected sha256 {SHA256}"):
        fetch_if_near(recipe(tiny_recipe), evidence(), options(tmp_path, mirror=mirror))


@pytest.mark.parametrize("place", ["cache", "mirror"])
def test_pinned_evidence_may_lie_there_as_another_recipes(
    tmp_path: Path, tiny_recipe: Any, place: str
) -> None:
    """The twin of a network is a model of its own."""
    for name, content in (("a-wrong-one", b"wrong"), ("another", CONTENT)):
        folder = tmp_path / place / name
        folder.mkdir(parents=True)
        (folder / "recorded.tar.gz").write_bytes(content)
    given = options(tmp_path, mirror=str(tmp_path / "mirror") if place == "mirror" else None, offline=True)
    assert fetch_if_near(recipe(tiny_recipe), evidence(), given) is None  # unpinned: it could be anything
    assert fetch_if_near(recipe(tiny_recipe), evidence(sha256="0" * 64), given) is None
    found = fetch_if_near(recipe(tiny_recipe), evidence(sha256=SHA256), given)
    assert found is not None
    assert found.path == tmp_path / "cache" / "tiny" / "recorded.tar.gz"
    assert found.path.read_bytes() == CONTENT


@pytest.mark.parametrize("place", ["cache", "mirror"])
def test_so_it_may_without_hard_links_and_with_brackets_in_its_name(
    tmp_path: Path, tiny_recipe: Any, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    folder = tmp_path / place / "another"
    folder.mkdir(parents=True)
    (folder / "recorded[1].gz").write_bytes(CONTENT)
    given = options(tmp_path, mirror=str(tmp_path / "mirror") if place == "mirror" else None, offline=True)
    found = fetch_if_near(recipe(tiny_recipe), File(name="recorded[1].gz", urls=(), sha256=SHA256), given)
    assert found is not None
    assert found.path.read_bytes() == CONTENT
