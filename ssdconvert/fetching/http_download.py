"""One file over HTTP: goes on where an earlier run stopped, tries again, and stops early when it is the wrong file.

RFC 9110 section 14: a range is asked for with If-Range where the server named the version of what is here already.
Where a digest decides in the end, the rest may come from any server that has the file.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ssdconvert.fetching import Unavailable, WrongFile
from ssdconvert.fetching.addresses import shown
from ssdconvert.fetching.digested_file import BLOCK, DigestedFile, content_of
from ssdconvert.fetching.disk_space import is_full, no_room, refuse_without_room
from ssdconvert.fetching.events import Event, Kind, Tell
from ssdconvert.fetching.expected import Content, Expected, bytes_text, instead
from ssdconvert.fetching.http_session import opened
from ssdconvert.fetching.partial import Partial, source_of
from ssdconvert.fetching.patience import WORTH_ANOTHER, Patience

if TYPE_CHECKING:
    import requests

SLOWEST = 1024  # bytes a second; below this on average for `Patience.timeout` seconds, a transfer has stalled
RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True)
class Download:
    """A file of a recipe from one URL into `partial`."""

    url: str
    recipe: str
    file: str
    expected: Expected
    partial: Partial
    patience: Patience
    tell: Tell

    def run(self) -> Content:
        """Return what arrived, all of it; Unavailable or WrongFile where it did not."""
        resumed = self._start() > 0
        content = self._tried_again()
        problem = self.expected.problem(content)
        if problem and resumed:  # the beginning may be at fault, which an earlier run left
            self._tell("retry", reason=f"what was here already is not its beginning: {problem}")
            self.partial.discard()
            content = self._tried_again()
        return content

    def _tried_again(self) -> Content:
        failed = 0
        while True:
            before = self.partial.size
            try:
                return self._attempt()
            except Unavailable as error:
                failed = 1 if self.partial.size - before >= WORTH_ANOTHER else failed + 1
                if not error.transient or failed >= self.patience.attempts:
                    raise
                if error.wait is not None and error.wait > self.patience.longest_wait:
                    raise Unavailable(f"{error}, come back in {error.wait:.0f} s") from error
                pause = self.patience.pause(failed) if error.wait is None else error.wait
                self._tell("retry", reason=str(error), pause=pause)
                time.sleep(pause)

    def _attempt(self) -> Content:
        start = self._start()
        if start and start == self._known_total():
            return self._already_whole()
        with opened(self.url, self._range(start), self.patience) as response:
            if self._ends_here(response, start):
                return self._already_whole()
            start, total = self._answered(response, start)
            self._refuse_early(response, total)
            if not start:
                self.partial.begin(source_of(self.url, _validator(response), total))
            needed = None if total is None else total - start
            if needed is not None:
                refuse_without_room(self.partial.path.parent, needed, self.file)
            try:
                return self._received(response, start, total)
            except OSError as error:
                if is_full(error):
                    raise no_room(
                        self.partial.path.parent, total and total - self.partial.size, self.file
                    ) from error
                raise

    def _already_whole(self) -> Content:
        return content_of(self.partial.path, self.expected.algorithms)

    def _ends_here(self, response: "requests.Response", start: int) -> bool:
        """Whether a server that was asked for the rest says that there is none."""
        source = self.partial.source
        plausible = self.expected.decided or (source is not None and source.total is None)
        whole = response.headers.get("Content-Range") == f"bytes */{start}"
        return response.status_code == 416 and whole and start > 0 and plausible

    def _received(self, response: "requests.Response", start: int, total: int | None) -> Content:
        """Append the body to the partial file, and return what is in it."""
        limit = self.expected.size if self.expected.size is not None else total
        with DigestedFile(self.partial.path, self.expected.algorithms, start) as file:
            self._tell("started", file.size, limit)
            for block in self._blocks(response):
                file.write(block)
                if file.size == len(block):
                    self._refuse_page(response, block)
                if limit is not None and file.size > limit:
                    self.partial.discard()
                    raise WrongFile(f"expected {limit} bytes, and more came")
                self._tell("progress", file.size, limit)
            if total is not None and file.size < total:
                raise Unavailable(f"ended after {file.size} of {total} bytes", transient=True)
            return file.content()

    def _blocks(self, response: "requests.Response") -> Iterator[bytes]:
        """Yield the body as it comes; Unavailable when it only trickles."""
        began, since = time.monotonic(), 0
        while block := response.raw.read1(BLOCK, decode_content=False):
            yield block
            since += len(block)
            passed = time.monotonic() - began
            if passed >= self.patience.timeout:
                if since < SLOWEST * passed:
                    raise Unavailable(f"stalled: {since} bytes in {passed:.0f} s", transient=True)
                began, since = time.monotonic(), 0

    def _start(self) -> int:
        """Return from which byte to go on: 0 where what is here cannot be the beginning of what this URL gives."""
        source, size = self.partial.source, self.partial.size
        if source is None or (self.expected.size is not None and size > self.expected.size):
            return 0
        return size if self.expected.decided or self._validator_here() else 0

    def _validator_here(self) -> str | None:
        """Return the version of what is here, if it came from this URL and the server named it."""
        source = self.partial.source
        here = source is not None and source.address == source_of(self.url, None, None).address
        return source.validator if source and here else None

    def _known_total(self) -> int | None:
        source = self.partial.source
        return self.expected.size if self.expected.size is not None else source.total if source else None

    def _range(self, start: int) -> dict[str, str]:
        if not start:
            return {}
        headers = {"Range": f"bytes={start}-"}
        validator = self._validator_here()
        return headers | ({"If-Range": validator} if validator else {})

    def _answered(self, response: "requests.Response", start: int) -> tuple[int, int | None]:
        """Return from which byte the body goes on, and how long the file is; None where the server does not say."""
        if response.status_code not in (206, 416):
            return 0, _length(response)
        found = RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status_code == 206 and found and int(found[1]) == start:
            whole = None if found[3] == "*" else int(found[3])
            if self._known_total() in (None, whole) or whole is None:
                return start, whole if whole is not None else self._known_total()
        told = response.headers.get("Content-Range", "no range")
        self.partial.discard()  # the next attempt asks for the whole file
        raise Unavailable(
            f"asked for bytes {start}-, answered HTTP {response.status_code} with {told}",
            transient=bool(start),
        )

    def _refuse_early(self, response: "requests.Response", total: int | None) -> None:
        """Raise where the headers tell that it is not the file, or that nobody could tell whether it came whole."""
        expected = self.expected.size
        if None not in (expected, total) and expected != total:
            raise WrongFile(f"expected {expected} bytes, got {_kind(response, total)}")
        if response.url.startswith("http:") and self.url.startswith("https:") and not self.expected.decided:
            raise Unavailable(
                "redirects from https to http, and the recipe has no digest to check the file by"
            )
        chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
        if total is None and not chunked and expected is None and not self.expected.decided:
            raise Unavailable(
                "does not say how long the file is, nor does the recipe: a cut one could not be told from a whole one"
            )

    def _refuse_page(self, response: "requests.Response", beginning: bytes) -> None:
        """Raise where a page, or a pointer, comes in place of the file."""
        page = instead(beginning)
        if not page and _content_type(response) == "text/html" and beginning.lstrip().startswith(b"<"):
            page = "a web page"
        if page:
            self.partial.discard()
            raise WrongFile(f"got {page}: {_kind(response, _length(response))}")

    def _tell(
        self,
        kind: Kind,
        done: int | None = None,
        total: int | None = None,
        reason: str = "",
        pause: float = 0.0,
    ) -> None:
        done = self.partial.size if done is None else done
        self.tell(Event(kind, self.recipe, self.file, shown(self.url), done, total, reason, pause))


def _validator(response: "requests.Response") -> str | None:
    """Return what If-Range takes: a strong ETag, else the date of the last change."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified")


def _length(response: "requests.Response") -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _content_type(response: "requests.Response") -> str:
    return response.headers.get("Content-Type", "").split(";")[0].strip().lower()


def _kind(response: "requests.Response", size: int | None) -> str:
    """Say what a server says that it sends, e.g. `text/html, 92 kB (92160 bytes)`."""
    packed = response.headers.get("Content-Encoding", "identity")
    parts = [_content_type(response) or "no content type"]
    parts += [] if size is None else [bytes_text(size)]
    return ", ".join(parts + ([f"compressed by the server ({packed})"] if packed != "identity" else []))
