"""A web server on loopback whose answers are scripted, the faults of real servers among them.

`server.on(path, *answers)`: the first request of a path gets the first answer, and so on; the last one answers all
that come after. Each request has a connection of its own. `server.asked` are the requests, `server.sent` counts the
bytes of bodies that a client's machine took.
"""

import contextlib
import http.client
import socket
import socketserver
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, Literal
from urllib.parse import urlsplit

BLOCK = 1 << 16  # bytes


@dataclass(frozen=True)
class Request:
    """What a client asked for; the names of `headers` are in lower case."""

    path: str
    headers: Mapping[str, str]

    @property
    def range(self) -> str | None:
        """The range that was asked for."""
        return self.headers.get("range")


class Connection:
    """The server's end of one request."""

    def __init__(self, server: "FaultServer", connection: socket.socket, request: Request) -> None:
        self.server, self.socket, self.request = server, connection, request

    def head(self, status: str, headers: Mapping[str, Any]) -> None:
        """Send a status line and headers; those that are None are left out."""
        lines = [f"HTTP/1.1 {status}", *(f"{k}: {v}" for k, v in headers.items() if v is not None)]
        self.socket.sendall("".join(line + "\r\n" for line in [*lines, "Connection: close", ""]).encode())

    def body(self, content: bytes, chunked: bool = False) -> None:
        """Send a part of a body."""
        for position in range(0, len(content), BLOCK):
            block = content[position : position + BLOCK]
            self.socket.sendall(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
            self.server.count(len(block))

    def keep_silent(self) -> None:
        """Send nothing until the client goes, or the server ends."""
        self.server.ending.wait(30)

    def reset(self) -> None:
        """End with RST in place of FIN: what is on its way may be lost."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


Answer = Callable[[Connection], None]


@dataclass(frozen=True)
class Page:
    """A file, as a good server gives it: with Range, If-Range and 416. Each field but the first can spoil it.

    `cut` is how much of the file ever comes, `most` how much comes at once; then the connection ends, by `end`.
    `told` is the Content-Length in place of the true one.
    """

    content: bytes
    etag: str | None = None
    modified: str | None = None
    kind: str | None = "application/octet-stream"
    ranges: bool = True
    if_range: bool = True
    framing: Literal["length", "chunked", "close"] = "length"
    told: int | None = None
    cut: int | None = None
    most: int | None = None
    end: Literal["close", "reset", "silence"] = "close"
    step: int | None = None  # bytes, each after a pause
    pause: float = 0.0  # seconds
    headers: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, connection: Connection) -> None:
        size, start = len(self.content), self._start(connection.request)
        if start is not None and start >= size:
            connection.head(
                "416 Range Not Satisfiable", {"Content-Range": f"bytes */{size}", "Content-Length": 0}
            )
            return
        told = size - (start or 0) if self.told is None else self.told
        headers = {
            "Content-Type": self.kind,
            "Content-Length": told if self.framing == "length" else None,
            "Transfer-Encoding": "chunked" if self.framing == "chunked" else None,
            "Content-Range": None if start is None else f"bytes {start}-{size - 1}/{size}",
            "ETag": self.etag,
            "Last-Modified": self.modified,
            "Date": formatdate(usegmt=True),
            **self.headers,
        }
        connection.head("200 OK" if start is None else "206 Partial Content", headers)
        self._body(connection, start or 0)

    def _start(self, request: Request) -> int | None:
        """Return the first byte that is asked for; None where the whole file is."""
        if not self.ranges or not request.range:
            return None
        version = request.headers.get("if-range")
        if version and self.if_range and version not in (self.etag, self.modified):
            return None
        return int(request.range.removeprefix("bytes=").removesuffix("-"))

    def _body(self, connection: Connection, start: int) -> None:
        ends = [len(self.content)]
        ends += [self.cut] if self.cut is not None else []
        ends += [start + self.most] if self.most is not None else []
        body, chunked = self.content[start : min(ends)], self.framing == "chunked"
        step = self.step or len(body) or 1
        for position in range(0, len(body), step):
            if position:
                time.sleep(self.pause)
            connection.body(body[position : position + step], chunked)
        if min(ends) == len(self.content):
            if chunked:
                connection.socket.sendall(b"0\r\n\r\n")
        elif self.end == "reset":
            time.sleep(0.05)  # let the client have what was sent
            connection.reset()
        elif self.end == "silence":
            connection.keep_silent()


def status(line: str, body: bytes = b"", **headers: Any) -> Answer:
    """Answer with a status such as `404 Not Found`, headers (`Retry_After=5`), and a body of the told length."""

    def answer(connection: Connection) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.head(line, {"Content-Length": len(body)} | named)
        connection.body(body)

    return answer


def redirect(location: str, line: str = "302 Found") -> Answer:
    """Answer with another address."""
    return status(line, b"over there", Location=location)


def raw(content: bytes) -> Answer:
    """Answer with these bytes, whatever they are."""
    return lambda connection: connection.socket.sendall(content)


def endless(line: str = "200 OK", chunked: bool = False, **headers: Any) -> Answer:
    """Answer with a body that goes on until the client goes: to 100 MB, so that one who stays fails a test soon."""

    def answer(connection: Connection) -> None:
        named: dict[str, Any] = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.head(line, named | {"Transfer-Encoding": "chunked" if chunked else None})
        for _ in range(100_000_000 // BLOCK):
            connection.body(bytes(BLOCK), chunked)

    return answer


def silence(connection: Connection) -> None:
    """Answer nothing."""
    connection.keep_silent()


def forward(connection: Connection) -> None:
    """Answer as a proxy for plain HTTP: with what the server says whose URL is asked for."""
    url = urlsplit(connection.request.path)
    upstream = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=5)
    passed = {k: v for k, v in connection.request.headers.items() if not k.startswith("proxy-")}
    upstream.request("GET", url.path + ("?" + url.query if url.query else ""), headers=passed)
    answer = upstream.getresponse()
    connection.head(f"{answer.status} {answer.reason}", dict(answer.getheaders()) | {"Connection": None})
    connection.body(answer.read())


class FaultServer:
    """A server on a port of its own, at http://127.0.0.1, or https://localhost with a `context` of TLS."""

    def __init__(self, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.asked: list[Request] = []
        self.sent = 0
        self.ending = threading.Event()
        self.otherwise: Answer = status("404 Not Found", b"not here")
        self._pages: dict[str, list[Answer]] = {}
        self._lock = threading.Lock()
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):  # the client had enough
                    plain = self.connection
                    one = context.wrap_socket(plain, server_side=True) if context else plain
                    outer._answer(one)
                    if context:
                        one.unwrap()

        class Sockets(socketserver.ThreadingTCPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
            allow_reuse_address = True
            daemon_threads = True
            block_on_close = False

        self._sockets = Sockets((host, 0), Handler)
        port = self._sockets.server_address[1]
        self.url = (
            f"https://localhost:{port}"
            if context
            else f"http://{f'[{host}]' if ':' in host else host}:{port}"
        )
        threading.Thread(target=self._sockets.serve_forever, args=(0.01,), daemon=True).start()

    def on(self, path: str, *answers: Answer) -> str:
        """Answer the requests of a path, and return its URL."""
        self._pages[path] = list(answers)
        return self.url + path

    @property
    def ranges(self) -> list[str | None]:
        """The range that each request asked for."""
        return [request.range for request in self.asked]

    def count(self, sent: int) -> None:
        """Count bytes of a body."""
        with self._lock:
            self.sent += sent

    def close(self) -> None:
        """End, and all that is still answered."""
        self.ending.set()
        self._sockets.shutdown()
        self._sockets.server_close()

    def _answer(self, connection: socket.socket) -> None:
        lines = _head(connection).decode("latin-1").split("\r\n")
        named = (line.partition(":") for line in lines[1:] if line)
        request = Request(lines[0].split()[1], {name.lower(): value.strip() for name, _, value in named})
        with self._lock:
            self.asked.append(request)
            left = self._pages.get(request.path) or [self.otherwise]
            answer = left.pop(0) if len(left) > 1 else left[0]
        answer(Connection(self, connection, request))


def _head(connection: socket.socket) -> bytes:
    read = b""
    while b"\r\n\r\n" not in read:
        block = connection.recv(4096)
        if not block:
            raise ConnectionResetError("nothing asked")
        read += block
    return read
