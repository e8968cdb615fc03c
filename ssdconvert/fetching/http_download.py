"""One file over HTTP: goes on where an earlier run stopped, tries again, and stops early when it is the wrong file.

RFC 9110 section 14: a range is asked for with If-Range where the server named the version of what is here already.
Where a digest decides in the end, the rest may come from any server that has the file.
"""

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
from ssdconvert.fetching.http_response import (
    chunked,
    codings,
    content_type,
    is_of,
    kind,
    length,
    part,
    version,
)
from ssdconvert.fetching.http_session import opened, plain_reason
from ssdconvert.fetching.partial import Partial, source_of
from ssdconvert.fetching.patience import WORTH_ANOTHER, Patience

if TYPE_CHECKING:
    import requests

SLOWEST = 1024  # bytes a second; below this on average for `Patience.timeout` seconds, a transfer has stalled
LARGEST = 16 << 30  # bytes of a file whose size nobody tells: more than any detector has


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
        content, pieces = self._tried_again()
        problem = self.expected.problem(content)
        if problem and pieces:  # the beginning may be at fault, which an earlier attempt or run left
            self._tell("retry", reason=f"what was here already is not its beginning: {problem}")
            self.partial.discard()
            content, _ = self._tried_again()
        return content

    def _tried_again(self) -> tuple[Content, bool]:
        """Return what arrived, and whether it came in pieces."""
        failed, reached = 0, self.partial.size
        while True:
            try:
                return self._attempt()
            except Unavailable as error:
                failed += 1
                if self.partial.size - reached >= WORTH_ANOTHER:
                    failed, reached = 1, self.partial.size
                if not error.transient or failed >= self.patience.attempts:
                    raise
                if error.wait is not None and error.wait > self.patience.longest_wait:
                    raise Unavailable(f"{error}, come back in {error.wait:.0f} s") from error
                pause = self.patience.pause(failed) if error.wait is None else error.wait
                self._tell("retry", reason=str(error), pause=pause)
                time.sleep(pause)

    def _attempt(self) -> tuple[Content, bool]:
        start = self._start()
        if start and start == self._known_total():
            return self._already_whole(), True
        with opened(self.url, self._range(start), self.patience) as response:
            if self._ends_here(response, start):
                return self._already_whole(), True
            start, total = self._answered(response, start)
            self._refuse_early(response, total)
            if not start:
                self.partial.begin(source_of(self.url, version(response), total))
            folder, whole = self.partial.path.parent, self._size(total)
            if whole is not None:
                refuse_without_room(folder, whole - start, self.file, start)
            try:
                return self._received(response, start, total), start > 0
            except OSError as error:
                have = self.partial.size
                if is_full(error):
                    raise no_room(folder, whole and whole - have, self.file, have) from error
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
        import urllib3

        limit = self._size(total)
        whole = total if chunked(response) else limit
        with DigestedFile(self.partial.path, self.expected.algorithms, start) as file:
            self._tell("started", file.size, limit)
            try:
                for block in self._blocks(response):
                    file.write(block)
                    if file.size == len(block):
                        self._refuse_page(response, block)
                    self._refuse_more(file.size, limit)
                    self._tell("progress", file.size, limit)
            except urllib3.exceptions.ProtocolError as error:
                raise self._cut(file.size, limit, error) from error
            if whole is not None and file.size < whole:
                raise self._cut(file.size, whole)
            return file.content()

    def _refuse_more(self, size: int, limit: int | None) -> None:
        """Raise where more comes than the file has."""
        if size > (LARGEST if limit is None else limit):
            self.partial.discard()
            if limit is None:
                raise WrongFile(
                    f"does not say how long the file is, and more than {bytes_text(LARGEST)} came"
                )
            raise WrongFile(f"expected {limit} bytes, and more came")

    def _cut(self, size: int, total: int | None, error: Exception | None = None) -> Unavailable:
        """Return what a transfer comes to that ended too early; only the system's reason for that is worth reading."""
        known = "" if total is None else f" of {total}"
        cause = error and (error.__cause__ or error.__context__)
        why = f": {plain_reason(cause)}" if isinstance(cause, OSError) else ""
        return Unavailable(f"ended after {size}{known} bytes{why}", transient=True)

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
        return size if self.expected.decided or self._version_here() else 0

    def _version_here(self) -> str | None:
        """Return the version of what is here, if it came from this URL and the server named it."""
        source = self.partial.source
        here = source is not None and source.address == source_of(self.url, None, None).address
        return source.validator if source and here else None

    def _size(self, total: int | None) -> int | None:
        """Return how long the file is: as the recipe says, else as a server did."""
        return self.expected.size if self.expected.size is not None else total

    def _known_total(self) -> int | None:
        source = self.partial.source
        return self._size(source.total if source else None)

    def _range(self, start: int) -> dict[str, str]:
        if not start:
            return {}
        headers = {"Range": f"bytes={start}-"}
        validator = self._version_here()
        return headers | ({"If-Range": validator} if validator else {})

    def _answered(self, response: "requests.Response", start: int) -> tuple[int, int | None]:
        """Return from which byte the body goes on, and how long the file is; None where the server does not say."""
        if response.status_code not in (206, 416):
            return 0, length(response)
        begins, total = part(response) or (None, None)
        known = self._known_total() if start else self.expected.size
        same = known in (None, total) or total is None
        same = same and (not start or is_of(response, self._version_here()))
        total = known if total is None else total
        if begins == start and same and (total is not None or self.expected.decided):
            return start, total
        told = response.headers.get("Content-Range", "no range")
        self.partial.discard()  # the next attempt asks for the whole file
        raise Unavailable(
            f"asked for bytes {start}-, answered HTTP {response.status_code} with {told}"
            f"{'' if same else ' of another version'}",
            transient=bool(start),
        )

    def _refuse_early(self, response: "requests.Response", total: int | None) -> None:
        """Raise where the headers tell that it is not the file, or that nobody could tell whether it came whole."""
        expected, decided = self.expected.size, self.expected.decided
        if None not in (expected, total) and expected != total:
            raise WrongFile(f"expected {expected} bytes, got {kind(response, total)}")
        content, transfer = codings(response)
        if transfer or (content and not decided):
            raise Unavailable(f"compresses what it sends ({content or transfer}), although asked not to")
        on_the_way = [answer.url.startswith("https:") for answer in (*response.history, response)]
        if on_the_way[0] and not all(on_the_way) and not decided:
            raise Unavailable(
                "redirects from https to http, and the recipe has no digest to check the file by"
            )
        if total is None and not chunked(response) and expected is None and not decided:
            raise Unavailable(
                "does not say how long the file is, nor does the recipe: a cut one could not be told from a whole one"
            )

    def _refuse_page(self, response: "requests.Response", beginning: bytes) -> None:
        """Raise where a page, or a pointer, comes in place of the file."""
        page = instead(beginning)
        tagged = content_type(response) == "text/html" and beginning.lstrip().startswith(b"<")
        if not page and tagged and not self.expected.decided:
            page = "a web page"
        if page:
            self.partial.discard()
            raise WrongFile(f"got {page}: {kind(response, length(response))}")

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
