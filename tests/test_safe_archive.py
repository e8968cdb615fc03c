"""What an archive of somebody else's may hold, and what is refused before a byte of it is used."""

import gzip
import io
import tarfile
from collections.abc import Iterable

import pytest

from ssdconvert.safe_archive import PlainTar, UnsafeArchive, checked_members, safe_name


def header(name: str = "a/b", size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = size, kind
    return entry


def packed(members: dict[str, bytes], layout: int = tarfile.USTAR_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=layout) as archive:
        for name, content in members.items():
            archive.addfile(header(name, len(content)), io.BytesIO(content))
    return file.getvalue()


def read(data: bytes) -> dict[str, bytes]:
    tar = PlainTar(io.BytesIO(data))
    return {str(name): tar.read(1 << 20) for name, _ in checked_members(tar, 100, 1 << 20)}


def refused(members: Iterable[tarfile.TarInfo], most: int = 10, largest: int = 1000) -> str:
    with pytest.raises(UnsafeArchive) as caught:
        list(checked_members(members, most, largest))
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "../a",
        "/etc/passwd",
        "a/../../b",
        "a/..",
        "a\\..\\b",
        "c:/a",
        "a:stream",
        "\\\\host\\a",
        "a\0b",
        "//a",
    ],
)
def test_a_name_that_leaves_its_folder(name: str) -> None:
    assert refused([header(name)]) == f"has a member that leaves its folder: {name!r}"


@pytest.mark.parametrize("name", ["a", "a/b.bin", "./a/b.bin", "a..b/c", "...", "größe/a b"])
def test_a_name_that_stays(name: str) -> None:
    assert ".." not in safe_name(header(name)).parts


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.GNUTYPE_SPARSE,
        tarfile.XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
    ],
)
def test_what_is_neither_file_nor_folder(kind: bytes) -> None:
    assert "neither file nor folder" in refused([header(kind=kind)])


def test_bounds() -> None:
    assert refused([header()] * 11) == "has more than 10 members"
    assert refused([header(size=1001)]) == "has a member of 1001 bytes, 'a/b': too large"
    assert refused([header(size=-1)]) == "has a member of -1 bytes: 'a/b'"
    assert len(list(checked_members([header(size=1000)] * 10, 10, 1000))) == 10


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_plain_members_are_read_whoever_wrote_them(layout: int) -> None:
    members = {"a/one": b"1" * 700, "a/none": b"", "b/two": b"2" * 512}
    assert read(packed(members, layout)) == members


def test_what_is_not_read_of_a_member_is_passed_over() -> None:
    tar = PlainTar(io.BytesIO(packed({"a": bytes(3000), "b": b"second"})))
    assert [(member.name, tar.read(4)) for member in tar] == [("a", bytes(4)), ("b", b"seco")]


@pytest.mark.parametrize("layout", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_extended_headers_are_refused_unread(layout: int) -> None:
    with pytest.raises(UnsafeArchive, match="neither file nor folder"):
        read(packed({"a" * 200: b"x"}, layout))


def test_a_folder_has_no_bytes_whatever_it_claims() -> None:
    folder = header("a", 4096, tarfile.DIRTYPE).tobuf(tarfile.USTAR_FORMAT)
    assert read(folder + packed({"a/b": b"x"})) == {"a": b"", "a/b": b"x"}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "ends too early"),
        (b"x" * 100, "ends too early"),
        (b"x" * 2000, "no tar file"),
        (packed({"a": b"x" * 600})[:1000], "ends too early: 112 bytes of a member are missing"),
        (packed({"a": b"x" * 600})[:1100], "ends too early"),
        (packed({"a": b"x" * 600})[:1536], "ends too early"),
        (gzip.compress(packed({"a": b"x"})) + bytes(600), r"compressed \(gzip\)"),
        (b"BZh9" + bytes(600), r"compressed \(bzip2\)"),
        (b"\xfd7zXZ\0" + bytes(600), r"compressed \(xz\)"),
        (b"\x28\xb5\x2f\xfd" + bytes(600), r"compressed \(zstd\)"),
    ],
)  # fmt: skip
def test_what_is_no_whole_tar_file(data: bytes, problem: str) -> None:
    with pytest.raises(UnsafeArchive, match=problem):
        read(data)
