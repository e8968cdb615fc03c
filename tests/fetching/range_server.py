"""An HTTP server on loopback that knows ranges and versions of its files, is as slow as is asked, and counts."""

import http.server
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ssdconvert.recipe import Recipe

BLOCK = 1 << 16  # bytes sent at once
IN_SOCKETS = 1 << 19  # bytes at most that were sent, and that a client which is killed has not written


@dataclass
class Asked:
    """A request for a file: which Range header it had, from which byte it was answered, how many bytes were sent."""

    path: str
    range: str | None
    start: int
    sent: int = 0


class RangeServer:
    """Gives `files` by path; `speed` in bytes a second for each request; not `announced`: without a length.

    `before_block` is called with each request before each block of its body.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.speed: float | None = None
        self.announced = True
        self.before_block: Callable[[Asked], None] = lambda _: None
        self._http = _Counting(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def url_of(self, path: str, content: bytes) -> str:
        """Serve a file at a path, and return its URL."""
        self.files[path] = content
        return self.url + path

    @property
    def sent(self) -> int:
        """Bytes of bodies, in all."""
        return sum(one.sent for one in self.asked)

    def settle(self) -> None:
        """Return when all that was asked is in `asked`, and nobody is being answered any more."""
        with socket.create_connection(self._http.server_address[:2]) as last:  # accepted after all others
            last.sendall(b"GET /settled HTTP/1.1\r\n\r\n")
            last.recv(1)
        while self._http.running:
            time.sleep(0.001)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@contextmanager
def range_server() -> Iterator[RangeServer]:
    """Give a server, and stop it afterwards."""
    server = RangeServer()
    try:
        yield server
    finally:
        server.before_block = lambda _: None
        server.close()


def recipe_of(document: Mapping[str, Any], name: str, *files: Mapping[str, Any]) -> Recipe:
    """Return the recipe of an ONNX source under another name, with these files."""
    source = {"kind": "onnx", "files": files}
    return Recipe.model_validate_json(json.dumps({**document, "name": name, "source": source}))


class _Counting(http.server.ThreadingHTTPServer):
    """Knows how many connections it has."""

    def __init__(self, *arguments: Any) -> None:
        self.running, self._lock = 0, threading.Lock()
        super().__init__(*arguments)

    def process_request(self, *arguments: Any) -> None:
        with self._lock:
            self.running += 1
        super().process_request(*arguments)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._lock:
            self.running -= 1


def _handler(server: RangeServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.close_connection = True
            if self.path not in server.files:
                self.send_error(404)
                return
            content, etag = server.files[self.path], f'"{hash(server.files[self.path])}"'
            wanted = self.headers.get("Range")
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted else 0  # type: ignore[index]
            if self.headers.get("If-Range", etag) != etag:
                start = 0
            asked = Asked(self.path, wanted, start)
            server.asked.append(asked)
            if start >= len(content) > 0:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("ETag", etag)
            if server.announced:
                self.send_header("Content-Length", str(len(content) - start))
            else:
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BLOCK)
            with suppress(OSError):  # the client has gone
                self._send(content, asked)

        def _send(self, content: bytes, asked: Asked) -> None:
            began = time.monotonic()
            for position in range(asked.start, len(content), BLOCK):
                server.before_block(asked)
                block = content[position : position + BLOCK]
                self.wfile.write(block if server.announced else b"%x\r\n%s\r\n" % (len(block), block))
                asked.sent += len(block)
                if server.speed:
                    time.sleep(max(0.0, asked.sent / server.speed - (time.monotonic() - began)))
            if not server.announced:
                self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
