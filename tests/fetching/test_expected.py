"""How a file differs from what is expected, in words."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssdconvert.fetching.expected import SNIFFED, Content, Expected, bytes_text, expected_of, instead
from ssdconvert.recipe_source import File


def content(data: bytes) -> Content:
    digests = {name: hashlib.new(name, data).hexdigest() for name in ("sha256", "sha384")}
    return Content(len(data), digests, data[:SNIFFED])


RIGHT, WRONG = content(b"model"), content(b"mood!")
SHA256, SHA384 = RIGHT.digests["sha256"], RIGHT.digests["sha384"]


@pytest.mark.parametrize(
    "expected",
    [
        Expected(),
        Expected(5),
        Expected(5, SHA256),
        Expected(None, None, SHA384),
        Expected(5, SHA256, SHA384),
        Expected(None, remembered=SHA256),
    ],
)
def test_the_right_file(expected: Expected) -> None:
    assert expected.problem(RIGHT) == ""


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        (Expected(6), "expected 6 bytes, got 5"),
        (Expected(6, SHA256), "expected 6 bytes, got 5"),
        (Expected(5, "0" * 64), f"expected sha256 {'0' * 64}, got {SHA256}"),
        (Expected(5, SHA256, "0" * 96), f"expected sha384 {'0' * 96}, got {SHA384}"),
        (Expected(remembered="0" * 64), f"expected sha256 {'0' * 64}, got {SHA256}"),
    ],
)
def test_another_file(expected: Expected, problem: str) -> None:
    assert expected.problem(RIGHT) == problem


@given(st.binary(), st.binary())
def test_any_other_bytes_are_a_problem(right: bytes, other: bytes) -> None:
    for expected in (
        Expected(sha256=hashlib.sha256(right).hexdigest()),
        Expected(sha384=hashlib.sha384(right).hexdigest()),
        Expected(remembered=hashlib.sha256(right).hexdigest()),
    ):
        assert bool(expected.problem(content(other))) == (right != other)


def test_what_came_in_place_of_the_file_is_named() -> None:
    page = content(b"\n<!DOCTYPE HTML><p>Sign in")
    assert Expected().problem(page) == "got an HTML page"
    assert Expected(9).problem(page).endswith(f"got {page.size}: an HTML page")
    assert Expected(sha256="0" * 64).problem(page).endswith(": an HTML page")
    assert Expected(sha256=page.digests["sha256"]).problem(page) == "", "a digest decides"
    assert Expected().problem(content(b"")) == "got an empty file"


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [
        (b"<html>", "an HTML page"),
        (b"\xef\xbb\xbf \r\n\t<!doctype html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS, not the file itself"),
        (b"", "an empty file"),
        (b"<?xml version='1.0'?><net/>", ""),
        (b"PK\x03\x04 <html>", ""),
        (b"name: 'net' # version https://git-lfs.github.com/spec/v1", ""),
    ],
)
def test_kinds_of_what_comes_instead(beginning: bytes, kind: str) -> None:
    assert instead(beginning) == kind


def test_what_is_remembered_counts_only_without_a_digest() -> None:
    file = File(name="m", urls=(), size=5)
    assert expected_of(file, SHA256) == Expected(5, remembered=SHA256)
    pinned = file.model_copy(update={"sha384": SHA384})
    assert expected_of(pinned, "0" * 64) == Expected(5, None, SHA384)


def test_pinned_and_decided() -> None:
    states = [
        (one.pinned, one.decided) for one in (Expected(5), Expected(remembered="x"), Expected(sha384="x"))
    ]
    assert states == [(False, False), (False, True), (True, True)]


def test_what_is_computed_and_told() -> None:
    assert Expected(5).algorithms == ("sha256",)
    assert Expected(5, None, SHA384).algorithms == ("sha256", "sha384")
    assert Expected(5, SHA256, SHA384).told == f"5 bytes, sha256 {SHA256}, sha384 {SHA384}"
    assert Expected().told == "any file: the recipe has neither size nor digest"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB (1000 bytes)"), (92_000, "92 kB (92000 bytes)"),
        (1_000_000, "1 MB (1000000 bytes)"), (10**10, "10 GB (10000000000 bytes)"),
    ],
)  # fmt: skip
def test_sizes_in_words(size: int, text: str) -> None:
    assert bytes_text(size) == text
