"""Servers that cut, stall, lie and send something else: the right file, or a refusal that says why.

What must hold in each scenario, that nothing wrong is in the cache, is in `bench.py`.
"""

import gzip
import shutil
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from time import time
from typing import Any

import pytest

from ssdconvert.fetching import http_download

from .bench import (
    ANOTHER,
    CONTENT,
    DIGEST,
    LENGTH,
    PINNED,
    QUICK,
    SHA256,
    SHA384,
    SIZE,
    UNPINNED,
    Bench,
    digest,
    flipped,
)
from .fault_server import Answer, FaultServer, Page, endless, raw, redirect, silence, status

CUT = 100_000
V1, V2, WEAK = '"v1"', '"v2"', 'W/"v1"'
LONG_AGO, TOLD = "Wed, 21 Oct 2015 07:28:00 GMT", [PINNED, DIGEST, SHA384, UNPINNED]
WHOLE = Page(CONTENT, V1)
HTML = b"<!DOCTYPE html><title>Sign in</title>" + b" " * 91_963
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 300000\n"
told = pytest.mark.parametrize("told", TOLD, ids=["size and sha256", "sha256", "sha384", "unpinned"])
pinned = pytest.mark.parametrize("told", [PINNED, DIGEST], ids=["size and sha256", "sha256"])
REST = f"bytes={CUT}-"


# --- transfers that break


@told
def test_a_cut_transfer_goes_on_where_it_stopped(bench: Bench, server: FaultServer, told: Any) -> None:
    bench.fetch(server.on("/m", replace(WHOLE, cut=CUT), WHOLE), **told)
    assert server.ranges == [None, REST]
    assert server.asked[1].headers["if-range"] == V1
    assert server.sent == SIZE
    (retry,) = [event for event in bench.events if event.kind == "retry"]
    assert (retry.done, retry.reason) == (CUT, f"ended after {CUT} of {SIZE} bytes")


@told
def test_a_later_run_goes_on_where_an_earlier_one_stopped(
    bench: Bench, server: FaultServer, told: Any
) -> None:
    error = bench.refused(server.on("/m", replace(WHOLE, cut=CUT)), **told)
    assert f"ended after {CUT} of {SIZE} bytes" in error.message
    assert server.ranges == [None, REST, REST]
    bench.fetch(server.on("/m", WHOLE), **told)
    assert server.ranges[3:] == [REST]
    assert server.sent == SIZE


def test_a_date_tells_versions_apart_where_there_is_no_etag(bench: Bench, server: FaultServer) -> None:
    page = Page(CONTENT, modified=LONG_AGO)
    bench.fetch(server.on("/m", replace(page, cut=CUT), page))
    assert server.ranges == [None, REST]
    assert server.asked[1].headers["if-range"] == LONG_AGO


@pytest.mark.parametrize(
    "version",
    [
        {},
        {"etag": WEAK},
        {"etag": WEAK, "modified": LONG_AGO},
        {"modified": formatdate(time() + 3600, usegmt=True)},
    ],
    ids=["none", "a weak ETag", "a weak ETag and a date", "a date that is not over"],
)
def test_without_a_version_an_unpinned_file_begins_anew(
    bench: Bench, server: FaultServer, version: Any
) -> None:
    """RFC 9110: a weak ETag is no version in If-Range, nor is a date that may be that of two versions."""
    page = Page(CONTENT, **version)
    bench.fetch(server.on("/m", replace(page, cut=CUT), page))
    assert server.ranges == [None, None]


@pinned
def test_without_a_version_a_pinned_file_goes_on(bench: Bench, server: FaultServer, told: Any) -> None:
    page = Page(CONTENT, WEAK)
    bench.fetch(server.on("/m", replace(page, cut=CUT), page), **told)
    assert server.ranges == [None, REST]
    assert server.sent == SIZE


@told
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_transfer_that_is_always_cut(bench: Bench, server: FaultServer, told: Any, framing: Any) -> None:
    page = replace(WHOLE, cut=CUT, framing=framing)
    error = bench.refused(server.on("/m", page), **told)
    assert len(server.asked) == QUICK.attempts
    assert f"ended after {CUT}" in error.message


@told
def test_a_transfer_that_is_cut_before_its_first_byte(bench: Bench, server: FaultServer, told: Any) -> None:
    bench.fetch(server.on("/m", replace(WHOLE, cut=0), WHOLE), **told)
    assert server.ranges == [None, None]


@told
def test_a_connection_that_is_reset(bench: Bench, server: FaultServer, told: Any) -> None:
    bench.fetch(server.on("/m", replace(WHOLE, cut=CUT, end="reset"), WHOLE), **told)
    assert len(server.asked) == 2


def test_a_connection_that_is_always_reset(bench: Bench, server: FaultServer) -> None:
    error = bench.refused(server.on("/m", replace(WHOLE, cut=0, end="reset")))
    assert f"ended after 0 of {SIZE} bytes: " in error.message
    assert "reset by peer" in error.message


@told
def test_a_transfer_that_stalls(bench: Bench, server: FaultServer, told: Any) -> None:
    bench.fetch(server.on("/m", replace(WHOLE, cut=CUT, end="silence"), WHOLE), **told)
    assert server.ranges == [None, REST]
    assert server.sent == SIZE


def test_a_server_that_always_stalls(bench: Bench, server: FaultServer) -> None:
    error = bench.refused(server.on("/m", replace(WHOLE, cut=CUT, end="silence")), **PINNED)
    assert "the server sent nothing in time" in error.message


def test_a_server_that_says_nothing(bench: Bench, server: FaultServer) -> None:
    error = bench.refused(server.on("/m", silence))
    assert "the server sent nothing in time" in error.message
    assert len(server.asked) == QUICK.attempts


def test_a_trickle_is_a_stall(bench: Bench, server: FaultServer) -> None:
    page = replace(WHOLE, step=5, pause=0.02)  # 250 bytes/s
    error = bench.refused(server.on("/m", page), **PINNED)
    assert "stalled" in error.message
    bench.fetch(server.on("/m", page, WHOLE), **PINNED)


def test_slow_is_no_stall(bench: Bench, server: FaultServer) -> None:
    """A second in all, more than `timeout`, and never less than 1024 bytes/s."""
    bench.fetch(server.on("/m", Page(CONTENT[:50_000] + CONTENT[50_000:], V1, step=6000, pause=0.02)))
    assert len(server.asked) == 1


@told
def test_a_server_that_gives_little_at_a_time(
    bench: Bench, server: FaultServer, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt that brings enough does not count as failed."""
    monkeypatch.setattr(http_download, "WORTH_ANOTHER", 10_000)
    bench.fetch(server.on("/m", replace(WHOLE, most=30_000)), **told)
    assert len(server.asked) == 10 > QUICK.attempts
    assert server.sent == SIZE


@told
def test_bringing_the_same_bytes_again_is_no_progress(
    bench: Bench, server: FaultServer, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every second answer is a wrong range, so that it begins anew: that must end."""
    monkeypatch.setattr(http_download, "WORTH_ANOTHER", 10_000)
    wrong = status("206 Partial Content", CONTENT, Content_Range=f"bytes 0-{SIZE - 1}/{SIZE}")
    url = server.on("/m", *[replace(WHOLE, cut=CUT), wrong] * 20)
    bench.refused(url, **told)
    assert len(server.asked) <= 2 * QUICK.attempts


# --- lengths that are wrong, or not told


def test_a_length_that_is_too_long(bench: Bench, server: FaultServer) -> None:
    url = server.on("/m", Page(CONTENT, V1, told=SIZE + 1000))
    assert f"expected {SIZE} bytes, got application/octet-stream" in bench.refused(url, **PINNED).message
    assert f"ended after {SIZE} of {SIZE + 1000} bytes" in bench.refused(url).message


def test_a_length_that_is_too_long_of_the_right_file(bench: Bench, server: FaultServer) -> None:
    bench.fetch(server.on("/m", Page(CONTENT, V1, told=SIZE + 1000)), **DIGEST)


@pytest.mark.parametrize("told", [PINNED, DIGEST, LENGTH])
def test_a_length_that_is_too_short(bench: Bench, server: FaultServer, told: Any) -> None:
    bench.refused(server.on("/m", Page(CONTENT, V1, told=SIZE - 1000)), **told)


def test_no_length(bench: Bench, server: FaultServer) -> None:
    """Nobody can tell a whole file from a cut one then, but by what the recipe says of it."""
    url = server.on("/m", Page(CONTENT, V1, framing="close"))
    assert "does not say how long the file is" in bench.refused(url).message


@pytest.mark.parametrize("told", [PINNED, DIGEST, SHA384, LENGTH])
def test_no_length_where_the_recipe_tells(bench: Bench, server: FaultServer, told: Any) -> None:
    bench.fetch(server.on("/m", Page(CONTENT, V1, framing="close")), **told)


@pytest.mark.parametrize("told", [PINNED, LENGTH])
def test_no_length_and_cut(bench: Bench, server: FaultServer, told: Any) -> None:
    page = Page(CONTENT, V1, framing="close")
    bench.fetch(server.on("/m", replace(page, cut=CUT), page), **told)
    assert server.ranges == [None, REST]


def test_no_length_and_cut_with_a_digest_alone(bench: Bench, server: FaultServer) -> None:
    page = Page(CONTENT, V1, framing="close", cut=CUT)
    assert f"expected sha256 {SHA256}" in bench.refused(server.on("/m", page), **DIGEST).message


@told
def test_a_body_in_chunks(bench: Bench, server: FaultServer, told: Any) -> None:
    bench.fetch(server.on("/m", Page(CONTENT, framing="chunked")), **told)
    assert len(server.asked) == 1


@told
def test_a_body_in_chunks_that_is_cut(bench: Bench, server: FaultServer, told: Any) -> None:
    page = Page(CONTENT, V1, framing="chunked")
    bench.fetch(server.on("/m", replace(page, cut=CUT), page), **told)
    assert server.ranges == [None, REST]
    assert server.sent == SIZE


def test_chunks_that_are_none(bench: Bench, server: FaultServer) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for body in (
        b"zz\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"ffffffffffffffffffff\r\nhello\r\n",
    ):
        bench.refused(server.on("/m", raw(head + body)))


@pytest.mark.parametrize("length", ["-1", "many", "300000, 300001", "3e5", "9" * 5000])
def test_a_length_that_is_none(bench: Bench, server: FaultServer, length: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode()
    bench.refused(server.on("/m", raw(head + CONTENT)))


def test_10_gb_are_not_read_where_80_kb_are_meant(bench: Bench, server: FaultServer) -> None:
    error = bench.refused(server.on("/m", endless(Content_Length=10**10)), **PINNED)
    assert f"expected {SIZE} bytes, got no content type, 10 GB (10000000000 bytes)" in error.message
    assert len(server.asked) == 1
    assert server.sent < 20e6  # what fits into the buffers of the two sockets


@pytest.mark.parametrize("chunked", [False, True])
def test_an_endless_body_is_not_read_beyond_the_size(
    bench: Bench, server: FaultServer, chunked: bool
) -> None:
    error = bench.refused(server.on("/m", endless(chunked=chunked)), **PINNED)
    assert "more came" in error.message
    assert server.sent < 20e6


@pytest.mark.parametrize("chunked", [False, True])
def test_an_endless_body_of_a_file_whose_size_nobody_tells(
    bench: Bench, server: FaultServer, chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_download, "LARGEST", 5_000_000)
    error = bench.refused(server.on("/m", endless(chunked=chunked)), **DIGEST)
    assert "more than 5 MB (5000000 bytes) came" in error.message
    assert server.sent < 25e6


@told
def test_an_empty_body(bench: Bench, server: FaultServer, told: Any) -> None:
    message = bench.refused(server.on("/m", status("200 OK")), **told).message
    assert "an empty file" in message or f"expected {SIZE} bytes, got no content type, 0 bytes" in message


# --- bytes that are wrong


@pinned
@pytest.mark.parametrize("position", [0, CUT - 1])
def test_a_bit_flipped_before_the_cut(bench: Bench, server: FaultServer, told: Any, position: int) -> None:
    """What is here is not the beginning of the file: it begins anew, once."""
    damaged = Page(flipped(CONTENT, position), V1, cut=CUT)
    bench.fetch(server.on("/m", damaged, WHOLE), **told)
    assert server.ranges == [None, REST, None]


@pinned
def test_a_bit_flipped_before_an_earlier_runs_end(bench: Bench, server: FaultServer, told: Any) -> None:
    bench.refused(server.on("/m", Page(flipped(CONTENT, 5), V1, cut=CUT)), **told)
    bench.fetch(server.on("/m", WHOLE), **told)
    assert server.ranges[-2:] == [REST, None]


@pytest.mark.parametrize("told", [PINNED, DIGEST, SHA384])
def test_a_bit_always_flipped(bench: Bench, server: FaultServer, told: Any) -> None:
    wrong = flipped(CONTENT, 5)
    error = bench.refused(server.on("/m", Page(wrong, V1)), **told)
    rejected = bench.cache / "tried" / "model.onnx.rejected"
    assert rejected.read_bytes() == wrong
    assert f"kept as {rejected} and not used" in error.message
    for expected in told.values():
        assert str(expected) in error.message
    assert len(server.asked) == 1, "the same bytes would come again"


@pinned
def test_a_bit_always_flipped_and_always_cut(bench: Bench, server: FaultServer, told: Any) -> None:
    bench.refused(server.on("/m", Page(flipped(CONTENT, 5), V1, most=CUT)), **told)
    assert len(server.asked) <= 2 * QUICK.attempts


@told
def test_a_pointer_of_git_lfs(bench: Bench, server: FaultServer, told: Any) -> None:
    error = bench.refused(server.on("/m", Page(POINTER, kind="text/plain")), **told)
    assert (
        "a pointer of Git LFS" in error.message or f"expected {SIZE} bytes, got text/plain" in error.message
    )


@told
def test_a_page_in_place_of_a_model(bench: Bench, server: FaultServer, told: Any) -> None:
    error = bench.refused(server.on("/m", Page(HTML, kind="text/html; charset=utf-8")), **told)
    assert "text/html, 92 kB (92000 bytes)" in error.message
    assert len(server.asked) == 1


@told
@pytest.mark.parametrize("page", [HTML, b"\xef\xbb\xbf\n" + HTML, b"<p>Too many downloads</p>"])
def test_a_page_without_a_length(bench: Bench, server: FaultServer, told: Any, page: bytes) -> None:
    error = bench.refused(server.on("/m", Page(page, kind="text/html", framing="chunked")), **told)
    assert "page" in error.message or digest(page) in error.message or f"got {len(page)}" in error.message


def test_a_page_that_comes_byte_by_byte(bench: Bench, server: FaultServer) -> None:
    page = Page(HTML[:60], step=1, pause=0.002, kind="application/octet-stream")
    assert "an HTML page" in bench.refused(server.on("/m", page)).message


def test_the_right_file_may_look_like_a_page(bench: Bench, server: FaultServer) -> None:
    """An IR begins with `<?xml`, and some servers call everything text/html: a digest decides."""
    content = b'<?xml version="1.0"?><net name="m"/>' + CONTENT
    bench.right = {digest(content)}
    url = server.on("/m", Page(content, kind="text/html"))
    bench.fetch(url, sha256=digest(content))


def test_a_body_that_the_server_compressed(bench: Bench, server: FaultServer) -> None:
    packed = gzip.compress(CONTENT[:50_000] + bytes(250_000))
    url = server.on("/m", Page(packed, headers={"Content-Encoding": "gzip"}))
    for told in (PINNED, LENGTH, UNPINNED):
        assert "gzip" in bench.refused(url, **told).message
    bench.refused(url, **DIGEST)
    bench.right = {digest(packed)}
    bench.fetch(url, sha256=digest(packed))  # an archive that the server names so


@told
@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip"])
def test_a_transfer_coding_that_nobody_asked_for(
    bench: Bench, server: FaultServer, told: Any, coding: str
) -> None:
    page = Page(CONTENT, framing="close", headers={"Transfer-Encoding": coding})
    assert "gzip" in bench.refused(server.on("/m", page), **told).message


# --- ranges that are wrong


RANGES: dict[str, dict[str, Any]] = {
    "wrong start": {"Content_Range": f"bytes {CUT - 1}-{SIZE - 1}/{SIZE}"},
    "from the beginning": {"Content_Range": f"bytes 0-{SIZE - CUT - 1}/{SIZE}"},
    "wrong total": {"Content_Range": f"bytes {CUT}-{SIZE}/{SIZE + 1}"},
    "no range": {},
    "nonsense": {"Content_Range": "bytes all of it"},
    "several parts": {"Content_Type": "multipart/byteranges; boundary=x"},
    "several parts in one": {
        "Content_Type": "multipart/byteranges; boundary=x",
        "Content_Range": f"bytes {CUT}-{SIZE - 1}/{SIZE}",
    },
    "another version": {"Content_Range": f"bytes {CUT}-{SIZE - 1}/{SIZE}", "ETag": V2},
}


@told
@pytest.mark.parametrize("headers", RANGES.values(), ids=RANGES)
def test_a_wrong_range_begins_anew(bench: Bench, server: FaultServer, told: Any, headers: Any) -> None:
    wrong = status("206 Partial Content", ANOTHER[CUT:], **headers)
    bench.fetch(server.on("/m", replace(WHOLE, cut=CUT), wrong, WHOLE), **told)
    assert server.ranges == [None, REST, None]


@told
@pytest.mark.parametrize("headers", RANGES.values(), ids=RANGES)
def test_always_a_wrong_range(bench: Bench, server: FaultServer, told: Any, headers: Any) -> None:
    """Of another version, so that a file put together would be wrong."""
    wrong = status("206 Partial Content", ANOTHER[CUT:], **headers)
    url = server.on("/m", *[replace(WHOLE, cut=CUT), wrong] * 10)
    bench.refused(url, **told)
    assert len(server.asked) <= 2 * QUICK.attempts


@told
def test_a_shorter_range_than_was_asked_for(bench: Bench, server: FaultServer, told: Any) -> None:
    part = status("206 Partial Content", CONTENT[CUT:-5], Content_Range=f"bytes {CUT}-{SIZE - 6}/{SIZE}")
    bench.fetch(server.on("/m", replace(WHOLE, cut=CUT), part, WHOLE), **told)
    assert server.ranges == [None, REST, f"bytes={SIZE - 5}-"]


@told
def test_a_shorter_range_of_a_file_whose_length_nobody_tells(
    bench: Bench, server: FaultServer, told: Any
) -> None:
    page = Page(CONTENT, V1, framing="chunked")
    part = status("206 Partial Content", CONTENT[CUT:-5], Content_Range=f"bytes {CUT}-{SIZE - 6}/*")
    bench.fetch(server.on("/m", replace(page, cut=CUT), part, page), **told)


@told
def test_a_range_that_nobody_asked_for(bench: Bench, server: FaultServer, told: Any) -> None:
    unasked = status("206 Partial Content", CONTENT, Content_Range=f"bytes 0-{SIZE - 1}/{SIZE}")
    bench.fetch(server.on("/m", unasked), **told)


@told
@pytest.mark.parametrize(
    "told_range", [None, f"bytes 5-{SIZE - 1}/{SIZE}", f"bytes 0-{SIZE - 6}/*", "bytes */*"]
)
def test_a_wrong_range_that_nobody_asked_for(
    bench: Bench, server: FaultServer, told: Any, told_range: str | None
) -> None:
    unasked = status("206 Partial Content", CONTENT[:-5], Content_Range=told_range)
    bench.refused(server.on("/m", unasked), **told)


@told
def test_a_server_that_ignores_ranges(bench: Bench, server: FaultServer, told: Any) -> None:
    page = replace(WHOLE, ranges=False)
    bench.fetch(server.on("/m", replace(page, cut=CUT), page), **told)
    assert server.ranges == [None, REST]
    assert server.sent == CUT + SIZE


@told
def test_416_where_there_is_more(bench: Bench, server: FaultServer, told: Any) -> None:
    wrong = status("416 Range Not Satisfiable", Content_Range=f"bytes */{SIZE}")
    bench.fetch(server.on("/m", replace(WHOLE, cut=CUT), wrong, WHOLE), **told)
    assert server.ranges == [None, REST, None]


@told
def test_416_always(bench: Bench, server: FaultServer, told: Any) -> None:
    error = bench.refused(server.on("/m", status("416 Range Not Satisfiable")), **told)
    assert "416" in error.message


@told
def test_416_because_the_file_is_whole(bench: Bench, server: FaultServer, told: Any) -> None:
    """Cut between the last byte and the end of the chunks."""
    page = Page(CONTENT, V1, framing="chunked")
    unended = raw(
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: {V1}\r\n\r\n{SIZE:x}\r\n".encode() + CONTENT
    )
    bench.fetch(server.on("/m", unended, page), **told)
    assert server.sent == 0


@told
def test_416_that_claims_the_file_is_whole(bench: Bench, server: FaultServer, told: Any) -> None:
    wrong = status("416 Range Not Satisfiable", Content_Range=f"bytes */{CUT}")
    bench.fetch(server.on("/m", replace(WHOLE, cut=CUT), wrong, WHOLE), **told)


@pytest.mark.parametrize("if_range", [True, False])
@pytest.mark.parametrize("etag", [V2, None])
def test_two_versions_are_never_mixed(
    bench: Bench, server: FaultServer, if_range: bool, etag: str | None
) -> None:
    """Neither of a server that knows If-Range nor, where it names the version, of one that does not."""
    bench.right = {digest(ANOTHER)}
    after = Page(ANOTHER, etag, if_range=if_range or etag is None)
    bench.fetch(server.on("/m", replace(WHOLE, cut=CUT), after))
    assert server.ranges[1] == REST


@pinned
@pytest.mark.parametrize("etag", [V1, V2, WEAK, None])
@pytest.mark.parametrize("if_range", [True, False])
def test_of_two_versions_the_pinned_one_is_had(
    bench: Bench, server: FaultServer, told: Any, etag: str | None, if_range: bool
) -> None:
    before = Page(ANOTHER, WEAK if etag == WEAK else V1, cut=CUT)
    bench.fetch(server.on("/m", before, Page(CONTENT, etag, if_range=if_range)), **told)


# --- statuses


@told
@pytest.mark.parametrize(
    "line", ["500 Oops", "502 Bad Gateway", "503 Busy", "504 Late", "408 Late", "425 Early"]
)
def test_a_failure_that_passes(bench: Bench, server: FaultServer, told: Any, line: str) -> None:
    bench.fetch(server.on("/m", replace(WHOLE, cut=CUT), status(line, b"sorry"), WHOLE), **told)
    assert server.ranges == [None, REST, REST]


@pytest.mark.parametrize("line", ["500 Oops", "502 Bad Gateway", "503 Busy", "429 Too Many Requests"])
def test_a_failure_that_stays(bench: Bench, server: FaultServer, line: str) -> None:
    assert f"HTTP {line}" in bench.refused(server.on("/m", status(line)), **PINNED).message
    assert len(server.asked) == QUICK.attempts


@pytest.mark.parametrize(
    "line", ["404 Not Found", "410 Gone", "400 Bad Request", "451 Lawyers", "999 Denied"]
)
def test_a_failure_that_will_not_pass(bench: Bench, server: FaultServer, line: str) -> None:
    url = server.on("/m", status(line, CONTENT))
    error = bench.refused(url)
    assert f"{url}: HTTP {line}" in error.message
    assert len(server.asked) == 1


@told
@pytest.mark.parametrize(
    "line", ["202 Accepted", "204 No Content", "300 Choose", "302 Found", "304 Not Modified"]
)
def test_a_status_that_brings_no_file(bench: Bench, server: FaultServer, told: Any, line: str) -> None:
    assert f"HTTP {line}" in bench.refused(server.on("/m", status(line, b"this is not it")), **told).message
    assert len(server.asked) == 1


@pytest.mark.parametrize("line", ["401 Unauthorized", "403 Forbidden"])
def test_where_a_password_is_wanted_the_message_says_how(
    bench: Bench, server: FaultServer, line: str
) -> None:
    error = bench.refused(server.on("/m", status(line)))
    assert "SSDCONVERT_TOKEN_127_0_0_1" in error.message
    assert ".netrc" in error.message
    assert len(server.asked) == 1


@pytest.mark.parametrize("wait", ["0", "1", LONG_AGO])
@pytest.mark.parametrize("line", ["429 Too Many Requests", "503 Busy"])
def test_retry_after_is_obeyed(bench: Bench, server: FaultServer, line: str, wait: str) -> None:
    bench.fetch(server.on("/m", status(line, Retry_After=wait), WHOLE), **PINNED)
    (retry,) = [event for event in bench.events if event.kind == "retry"]
    assert retry.pause == (1 if wait == "1" else 0)


def test_retry_after_may_be_a_date(bench: Bench, server: FaultServer) -> None:
    wait = formatdate(time() + 2, usegmt=True)
    bench.fetch(server.on("/m", status("429 Too Many Requests", Retry_After=wait), WHOLE), **PINNED)
    (retry,) = [event for event in bench.events if event.kind == "retry"]
    assert 0.5 < retry.pause <= 2


@pytest.mark.parametrize(
    "wait", ["3600", "9" * 400, "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"], ids=lambda wait: wait[:30]
)
def test_a_wait_that_is_too_long(bench: Bench, server: FaultServer, wait: str) -> None:
    error = bench.refused(server.on("/m", status("429 Too Many Requests", Retry_After=wait)), **PINNED)
    assert "HTTP 429 Too Many Requests" in error.message
    assert "come back in " in error.message
    assert len(server.asked) == 1


@pytest.mark.parametrize("wait", ["soon", "", "-5", "1.5", "Mon, 99 Foo 2026 99:99:99 GMT", "\xff"])
def test_a_wait_that_is_none(bench: Bench, server: FaultServer, wait: str) -> None:
    bench.fetch(server.on("/m", status("503 Busy", Retry_After=wait), WHOLE), **PINNED)
    assert len(server.asked) == 2


# --- redirects


@told
@pytest.mark.parametrize("line", ["301 Moved", "302 Found", "303 Other", "307 Temporary", "308 Permanent"])
def test_a_redirect(bench: Bench, server: FaultServer, told: Any, line: str) -> None:
    url = server.on("/m", redirect("/elsewhere", line))
    server.on("/elsewhere", replace(WHOLE, cut=CUT), WHOLE)
    assert bench.fetch(url, **told).origin == url
    assert server.ranges == [None, None, REST, REST]


def test_a_chain_of_redirects(bench: Bench, server: FaultServer) -> None:
    for step in range(10):
        server.on(f"/{step}", redirect(f"/{step + 1}"))
    server.on("/10", WHOLE)
    bench.fetch(server.url + "/0")


def test_a_chain_of_redirects_that_is_too_long(bench: Bench, server: FaultServer) -> None:
    for step in range(11):
        server.on(f"/{step}", redirect(f"/{step + 1}"))
    server.on("/11", WHOLE)
    assert "redirects more than 10 times" in bench.refused(server.url + "/0").message


def test_a_loop_of_redirects(bench: Bench, server: FaultServer) -> None:
    server.on("/b", redirect("/a"))
    error = bench.refused(server.on("/a", redirect("/b")), **PINNED)
    assert "redirects more than 10 times, perhaps in a loop" in error.message
    assert len(server.asked) == 11


@told
def test_a_redirect_to_another_server(
    bench: Bench, server: FaultServer, new_server: Callable[..., FaultServer], told: Any
) -> None:
    other = new_server()
    other.on("/file", replace(WHOLE, cut=CUT), WHOLE)
    bench.fetch(server.on("/m", redirect(other.url + "/file")), **told)
    assert other.ranges == [None, REST]


NOWHERE = (
    "file:///etc/passwd", "ftp://127.0.0.1/m", "data:,model", "javascript:0", "mailto:x", "//", "http://", "http:///m",
    "http://[::1", "http://127.0.0.1:99999999/m", "http://127.0.0.1:port/m", "http://a..b/", "http://\xff\xfe/", "http://*/",
)  # fmt: skip


@pytest.mark.parametrize("location", NOWHERE)
def test_a_redirect_to_nowhere(bench: Bench, server: FaultServer, location: str) -> None:
    bench.refused(server.on("/m", redirect(location)))


def test_the_body_of_a_redirect_is_not_read(bench: Bench, server: FaultServer) -> None:
    url = server.on("/m", endless("302 Found", Location="/a"))
    server.on("/a", endless("302 Found", chunked=True, Location="/b"))
    server.on("/b", WHOLE)
    bench.fetch(url)
    assert server.sent < 40e6


def test_from_https_to_http_only_what_a_digest_checks(
    bench: Bench, secure_server: FaultServer, server: FaultServer
) -> None:
    url = secure_server.on("/m", redirect(server.on("/m", WHOLE)))
    assert "redirects from https to http" in bench.refused(url).message
    bench.fetch(url, **DIGEST)


def test_nor_by_way_of_http(bench: Bench, secure_server: FaultServer, server: FaultServer) -> None:
    """Whoever reads and writes along on plain HTTP may lead anywhere."""
    there = secure_server.on("/there", WHOLE)
    url = secure_server.on("/m", redirect(server.on("/m", redirect(there))))
    assert "redirects from https to http" in bench.refused(url).message


def test_redirects_on_https(bench: Bench, secure_server: FaultServer) -> None:
    secure_server.on("/there", WHOLE)
    bench.fetch(secure_server.on("/m", redirect("/there")))


def test_a_certificate_that_nobody_vouches_for(
    bench: Bench, secure_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    error = bench.refused(secure_server.on("/m", WHOLE), **PINNED)
    assert "no secure connection" in error.message
    assert secure_server.sent == 0


def test_certificates_that_are_not_there(
    bench: Bench, secure_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    assert "/nowhere.pem" in bench.refused(secure_server.on("/m", WHOLE), **PINNED).message


# --- several addresses


@pinned
def test_a_wrong_file_at_the_first_and_the_right_one_at_the_second(
    bench: Bench, server: FaultServer, told: Any
) -> None:
    urls = [server.on("/a", Page(ANOTHER, V1)), server.on("/b", Page(HTML)), server.on("/c", WHOLE)]
    fetched = bench.fetch(*urls, **told)
    assert fetched.origin == urls[2]
    assert [event.origin for event in bench.events if event.kind == "refused"] == urls[:2]


@pinned
def test_what_one_server_began_another_finishes(
    bench: Bench, server: FaultServer, new_server: Callable[..., FaultServer], told: Any
) -> None:
    other = new_server()
    urls = server.on("/m", replace(WHOLE, cut=CUT)), other.on("/n", Page(CONTENT, V2))
    assert bench.fetch(*urls, **told).origin == urls[1]
    assert other.ranges == [REST]
    assert "if-range" not in other.asked[0].headers
    assert server.sent + other.sent == SIZE


@pinned
def test_what_one_server_began_wrongly_another_has_right(
    bench: Bench, server: FaultServer, new_server: Callable[..., FaultServer], told: Any
) -> None:
    other = new_server()
    urls = server.on("/m", Page(ANOTHER, V1, cut=CUT)), other.on("/n", Page(CONTENT, V1))
    bench.fetch(*urls, **told)
    assert other.ranges == [REST, None]


def test_of_an_unpinned_file_no_server_finishes_what_another_began(
    bench: Bench, server: FaultServer, new_server: Callable[..., FaultServer]
) -> None:
    other = new_server()
    bench.right = {digest(ANOTHER)}
    urls = server.on("/m", replace(WHOLE, cut=CUT)), other.on("/n", Page(ANOTHER, V1))
    bench.fetch(*urls)
    assert other.ranges == [None]


def test_all_that_was_tried_is_told(bench: Bench, server: FaultServer) -> None:
    urls = [
        server.on("/a", status("404 Not Found")),
        server.on("/b", Page(ANOTHER)),
        server.on("/c", redirect("/c")),
    ]
    message = bench.refused(*urls, **PINNED).message
    for url, reason in zip(urls, ("HTTP 404", "expected sha256", "redirects"), strict=True):
        assert any(line.startswith(f"  {url}: ") and reason in line for line in message.splitlines())


@pytest.mark.skipif(
    not shutil.which("curl"), reason="curl is not there: the line to fetch a file by hand is for it"
)
@pytest.mark.parametrize(
    ("told", "promise"),
    [(PINNED, "it is checked all the same"), (LENGTH, "taken on trust"), (UNPINNED, "it is taken on trust")],
)
def test_the_line_to_fetch_it_by_hand(bench: Bench, server: FaultServer, told: Any, promise: str) -> None:
    """It brings the file, and what it leaves where it breaks off is not taken for the file."""
    url = server.on("/m", *[replace(WHOLE, cut=CUT)] * (QUICK.attempts + 1), WHOLE)
    hint = bench.refused(url, **told).hint
    assert promise in hint
    line = hint.splitlines()[-1]
    assert subprocess.run(line, shell=True, capture_output=True, timeout=30).returncode
    (bench.cache / "tried" / "model.onnx.part").unlink(missing_ok=True)
    server.on("/m", status("404 Not Found"))
    bench.refused(url, **told)
    server.on("/m", WHOLE)
    assert not subprocess.run(line, shell=True, capture_output=True, timeout=30).returncode
    shutil.rmtree(bench.cache / ".partial")  # it stays for `cache prune`
    assert bench.fetch(url, **told).origin == "cache"


# --- what is no HTTP


GARBAGE = {
    "nothing": b"",
    "bytes": b"\x00\xff\xfe\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "cut in a header": b"HTTP/1.1 200 OK\r\nContent-Length: 9",
    "too many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n",
    "too long a header": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_in_place_of_http(bench: Bench, server: FaultServer, garbage: bytes) -> None:
    bench.refused(server.on("/m", raw(garbage)))
    assert len(server.asked) == QUICK.attempts


def test_garbage_passes(bench: Bench, server: FaultServer) -> None:
    bench.fetch(server.on("/m", raw(b"\x00\xff"), WHOLE))


def test_a_port_where_nobody_listens(bench: Bench) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/m"
    assert "refused" in bench.refused(url).message


def test_a_host_that_nobody_knows(bench: Bench) -> None:
    assert "http://nobody.invalid/m: " in bench.refused("http://nobody.invalid/m", **PINNED).message


def test_ipv6(bench: Bench, new_server: Callable[..., FaultServer]) -> None:
    try:
        server = new_server(None, "::1")
    except OSError:
        pytest.skip("there is no IPv6 on this machine")
    bench.fetch(server.on("/m", replace(WHOLE, cut=CUT), WHOLE))


@pytest.mark.parametrize("url", ["http://[::1/m", "http://127.0.0.1:99999999/m", "http://a..b/m"])
def test_an_address_that_is_none(bench: Bench, url: str) -> None:
    bench.refused(url)
    bench.refused("http://127.0.0.1:1/m", mirror=url)


# --- the same by the command line


COMMANDS: dict[str, tuple[list[Answer], Any, str]] = {
    "gone": ([status("404 Not Found")], UNPINNED, "HTTP 404 Not Found"),
    "password": ([status("401 Unauthorized")], UNPINNED, "SSDCONVERT_TOKEN_127_0_0_1"),
    "busy": ([status("503 Busy")], UNPINNED, "HTTP 503 Busy"),
    "busy for long": ([status("429 Slow", Retry_After=3600)], PINNED, "come back in 3600 s"),
    "cut": ([replace(WHOLE, cut=CUT)], UNPINNED, f"ended after {CUT} of {SIZE} bytes"),
    "reset": ([replace(WHOLE, cut=0, end="reset")], UNPINNED, "reset"),
    "damaged": ([Page(flipped(CONTENT, 7))], DIGEST, f"expected sha256 {SHA256}"),
    "another size": ([Page(CONTENT + b"x")], PINNED, f"expected {SIZE} bytes"),
    "page": ([Page(HTML, kind="text/html")], UNPINNED, "text/html, 92 kB"),
    "pointer": ([Page(POINTER, kind="text/plain")], UNPINNED, "Git LFS"),
    "loop": ([redirect("/m")], UNPINNED, "perhaps in a loop"),
    "file": ([redirect("file:///etc/passwd")], UNPINNED, "file:///etc/passwd"),
    "wrong range": ([replace(WHOLE, cut=CUT), status("206 Part", b"x")] * 9, PINNED, "answered HTTP 206"),
    "endless": ([endless()], PINNED, "more came"),
    "nothing": ([status("200 OK")], UNPINNED, "empty"),
    "garbage": ([raw(b"\x00\xff")], UNPINNED, "expected: any file"),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_ends_with_3_and_says_why(
    server: FaultServer, command: Callable[..., tuple[int, str, str]], name: str
) -> None:
    answers, told, why = COMMANDS[name]
    code, out, err = command([server.on("/m", *answers)], **told)
    assert code == 3
    assert out == ""
    assert "\nerror[fetch]: model.onnx of tried could not be had\n" in f"\n{err}"
    assert why in err
    assert "hint: fetch it by hand" in err
    assert "Traceback" not in err


def test_the_command_gets_the_file_where_it_can(
    bench: Bench, server: FaultServer, command: Callable[..., tuple[int, str, str]]
) -> None:
    answers = [status("503 Busy"), replace(WHOLE, cut=CUT), raw(b"\x00"), WHOLE]
    code, out, _ = command([server.on("/a", Page(ANOTHER)), server.on("/m", *answers)], **PINNED)
    assert code == 0
    assert f"sha256 {SHA256}" in out
    assert (bench.cache / "tried" / "model.onnx").read_bytes() == CONTENT
