"""What has not arrived whole, and what is known of it."""

from pathlib import Path

import pytest

from ssdconvert.fetching.partial import Partial, source_of

URL = "https://friend:pa55w0rd@models.example.com/m?sig=s1gnature"
SOURCE = source_of(URL, '"v1"', 300)


@pytest.fixture
def partial(tmp_path: Path) -> Partial:
    return Partial(tmp_path / "0123")


def test_nothing_is_there(partial: Partial) -> None:
    assert (partial.size, partial.source) == (0, None)
    partial.discard()


def test_bytes_and_their_source(partial: Partial) -> None:
    partial.begin(SOURCE)
    assert partial.source is None, "of no bytes"
    partial.path.write_bytes(b"abc")
    assert (partial.size, partial.source) == (3, SOURCE)
    assert Partial(partial.path).source == SOURCE, "for the next run"


def test_another_source_begins_anew(partial: Partial) -> None:
    partial.begin(SOURCE)
    partial.path.write_bytes(b"abc")
    other = source_of(URL, None, None)
    partial.begin(other)
    assert partial.size == 0
    partial.path.write_bytes(b"d")
    assert partial.source == other


def test_to_discard_leaves_nothing(partial: Partial) -> None:
    partial.begin(SOURCE)
    partial.path.write_bytes(b"abc")
    partial.discard()
    assert list(partial.path.parent.iterdir()) == []


@pytest.mark.parametrize(
    "note",
    [
        b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"address": "a"}', b"\xff\xfe", b"5",
        b'{"address": "a", "validator": 5, "total": 3}', b'{"address": "a", "validator": null, "total": "3"}',
        b'{"address": "a", "validator": null, "total": -3}', b'{"address": null, "validator": null, "total": true}',
    ],
)  # fmt: skip
def test_a_damaged_note_is_none(partial: Partial, note: bytes) -> None:
    """What it says becomes a header of a request, and a number of bytes."""
    partial.begin(SOURCE)
    partial.path.write_bytes(b"abc")
    (written,) = (path for path in partial.path.parent.iterdir() if path != partial.path)
    written.write_bytes(note)
    assert partial.source is None


def test_sources_differ_by_address_and_version() -> None:
    assert source_of(URL, '"v1"', 300) == SOURCE
    assert source_of(URL, '"v2"', 300) != SOURCE
    assert source_of(URL + "x", '"v1"', 300) != SOURCE


def test_the_address_is_not_written_down(partial: Partial) -> None:
    partial.begin(SOURCE)
    for path in partial.path.parent.iterdir():
        for told in ("pa55w0rd", "s1gnature", "example"):
            assert told not in path.read_text("utf-8") + path.name
