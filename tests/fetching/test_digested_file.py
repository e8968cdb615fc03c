"""A file that is written is digested as it is, wherever it began."""

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssdconvert.fetching import digested_file
from ssdconvert.fetching.digested_file import DigestedFile, content_of
from ssdconvert.fetching.expected import SNIFFED, Content

BOTH = ("sha256", "sha384")
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def content(data: bytes, algorithms: Sequence[str] = BOTH) -> Content:
    return Content(
        len(data), {name: hashlib.new(name, data).hexdigest() for name in algorithms}, data[:SNIFFED]
    )


@in_one_folder
@given(st.lists(st.binary(max_size=600), max_size=20), st.binary(max_size=900), st.integers(0, 900))
def test_digests_are_hashlibs(tmp_path: Path, blocks: list[bytes], here: bytes, keep: int) -> None:
    """Of what is kept and of what is appended, in any blocks."""
    path = tmp_path / "file"
    path.write_bytes(here)
    keep = min(keep, len(here))
    whole = here[:keep] + b"".join(blocks)
    with DigestedFile(path, BOTH, keep) as file:
        for block in blocks:
            file.write(block)
        assert file.size == len(whole)
        assert file.content() == content(whole)
    assert path.read_bytes() == whole
    assert content_of(path, BOTH) == content(whole)


@pytest.mark.parametrize("keep", [0, 1, 6, 7, 8, 20])
def test_what_is_kept_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int) -> None:
    monkeypatch.setattr(digested_file, "BLOCK", 7)
    path = tmp_path / "file"
    path.write_bytes(bytes(range(20)))
    with DigestedFile(path, BOTH, keep) as file:
        file.write(b"rest")
        assert file.content() == content(bytes(range(keep)) + b"rest")


def test_a_block_is_on_its_way_to_the_disk_when_it_is_written(tmp_path: Path) -> None:
    """So that a process that is killed leaves what it got."""
    with DigestedFile(tmp_path / "file", BOTH) as file:
        for count in range(1, 30):
            file.write(b"x" * 1000)
            assert (tmp_path / "file").stat().st_size == count * 1000


def test_the_content_may_be_asked_for_in_between(tmp_path: Path) -> None:
    with DigestedFile(tmp_path / "file", BOTH) as file:
        file.write(b"a")
        assert file.content() == content(b"a")
        file.write(b"b")
        assert file.content() == content(b"ab")


def test_without_anything_written_it_is_empty(tmp_path: Path) -> None:
    with DigestedFile(tmp_path / "file", ("sha256",)) as file:
        assert file.content() == content(b"", ("sha256",))
    assert content_of(tmp_path / "file", ("sha256",)) == content(b"", ("sha256",))


def test_a_failure_closes_the_file(tmp_path: Path) -> None:
    with contextlib.suppress(RuntimeError), DigestedFile(tmp_path / "file", BOTH) as file:
        file.write(b"a")
        raise RuntimeError("cut")
    with pytest.raises(ValueError, match="closed"):
        file.write(b"b")
    assert (tmp_path / "file").read_bytes() == b"a"
