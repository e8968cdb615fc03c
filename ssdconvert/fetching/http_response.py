"""What the headers of a response tell of its body: which part of which version of a file, how long, of what kind.

Headers are what a server says; functions return None where it says nothing, or nonsense.
"""

import re
from typing import TYPE_CHECKING

from ssdconvert.fetching.expected import bytes_text
from ssdconvert.fetching.patience import http_date

if TYPE_CHECKING:
    import requests

RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
LENGTH = re.compile(r"\d{1,18}")  # an exabyte, and no number that Python refuses to read


def version(response: "requests.Response") -> str | None:
    """Return what If-Range takes: a strong ETag; without any ETag, a date of the last change that is strong.

    RFC 9110 section 8.8.2.2: a file may have changed twice in the second that is over when the response is dated.
    """
    etag = response.headers.get("ETag")
    if etag is not None:
        return etag if etag.startswith('"') else None
    changed, now = (http_date(response.headers.get(name)) for name in ("Last-Modified", "Date"))
    strong = changed and now and (now - changed).total_seconds() >= 1
    return response.headers["Last-Modified"] if strong else None


def is_of(response: "requests.Response", known: str | None) -> bool:
    """Whether a part of a file is of the version that is known, as far as the server says."""
    if known is None:
        return True
    return bool(response.headers.get("ETag" if known.startswith('"') else "Last-Modified", known) == known)


def part(response: "requests.Response") -> tuple[int, int | None] | None:
    """Return from which byte a part of a file begins, and how long the whole is; None unless it is one part."""
    found = RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status_code != 206 or not found or content_type(response).startswith("multipart/"):
        return None
    return int(found[1]), None if found[3] == "*" else int(found[3])


def length(response: "requests.Response") -> int | None:
    """Return how many bytes the body has."""
    told = response.headers.get("Content-Length", "")
    return int(told) if LENGTH.fullmatch(told) else None


def chunked(response: "requests.Response") -> bool:
    """Whether the body says itself where it ends."""
    return bool(response.headers.get("Transfer-Encoding", "").strip().lower() == "chunked")


def codings(response: "requests.Response") -> tuple[str, str]:
    """Return how the server packed the file, and how the transfer of it; empty where not at all."""
    told = [response.headers.get(f"{what}-Encoding", "").strip().lower() for what in ("Content", "Transfer")]
    content, transfer = ("" if coding in ("identity", "chunked") else coding for coding in told)
    return content, transfer


def content_type(response: "requests.Response") -> str:
    """Return the media type without its parameters; empty where there is none."""
    return response.headers.get("Content-Type", "").split(";")[0].strip().lower()


def kind(response: "requests.Response", size: int | None) -> str:
    """Say what a server says that it sends, e.g. `text/html, 92 kB (92160 bytes)`."""
    packed = codings(response)[0]
    parts = [content_type(response) or "no content type"]
    parts += [] if size is None else [bytes_text(size)]
    return ", ".join(parts + ([f"compressed by the server ({packed})"] if packed else []))
