"""The archive: one form alone, and one changed byte anywhere is found and named. Hostile ones do no harm."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ssdconvert.release.archive import FIELDS, HEADER, ChangedMeanwhile, write_archive
from ssdconvert.release.check import check
from ssdconvert.workspace import digest_of_bytes

Position = tuple[int, str]  # of a byte, and the file that must be named; "" for the archive's end


def positions(path: Path) -> Iterator[Position]:
    """Yield a byte of each field of each header, of each file's beginning, middle and end, of paddings, of the end."""
    with tarfile.open(path) as tar:
        members = tar.getmembers()
    for member in members:
        name = member.name.partition("/")[2]
        yield from ((member.offset + start, name) for start, _ in FIELDS)
        yield from ((member.offset + byte, name) for byte in (3, 8, 99, 132, 135, 150, 262, 511))
        end = member.offset_data + member.size
        yield from ((byte, name) for byte in (member.offset_data, (member.offset_data + end) // 2, end - 1))
        if member.size % HEADER:
            yield from ((byte, name) for byte in (end, end + -member.size % HEADER - 1))
    last = members[-1].offset_data + members[-1].size
    last += -last % HEADER
    yield from ((byte, "") for byte in (last, last + 600, last + 1024, path.stat().st_size - 1))


def named(path: Path, name: str) -> bool:
    problems = check(path).problems
    return any(problem.path == (name or path.name) or name in problem.problem for problem in problems)


def test_one_changed_byte_anywhere_is_named(archive: Path, tmp_path: Path) -> None:
    assert check(archive).problems == ()
    content, changed = archive.read_bytes(), tmp_path / "changed.tar"
    overlooked = []
    for position, name in positions(archive):
        flipped = bytearray(content)
        flipped[position] ^= 1 << (position % 7)
        changed.write_bytes(flipped)
        if not named(changed, name):
            overlooked.append((position, name, check(changed).problems))
    assert overlooked == []


def test_a_byte_that_becomes_any_other(archive: Path, tmp_path: Path) -> None:
    random, content, changed = Random(1), archive.read_bytes(), tmp_path / "changed.tar"
    for _ in range(150):
        flipped = bytearray(content)
        position = random.randrange(len(content))
        flipped[position] = (flipped[position] + random.randrange(1, 256)) % 256
        changed.write_bytes(flipped)
        assert check(changed).problems, position


def test_an_archive_that_is_cut_or_goes_on(archive: Path, tmp_path: Path) -> None:
    content, changed = archive.read_bytes(), tmp_path / "changed.tar"
    for length in (0, 1, 511, 512, 700, len(content) // 2, len(content) - 1024, len(content) - 1):
        changed.write_bytes(content[:length])
        assert check(changed).problems, length
    for more in (b"\0", b"x", bytes(10240), content):
        changed.write_bytes(content + more)
        assert check(changed).problems, more[:1]


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content" * 100)
    members: dict[str, Path | bytes] = {"b": tmp_path / "file", "a/c": b"c", "empty": b""}
    digests = {
        "b": digest_of_bytes(b"content" * 100),
        "a/c": digest_of_bytes(b"c"),
        "empty": digest_of_bytes(b""),
    }
    first = write_archive(tmp_path / "1.tar", "name", members, digests)
    again = write_archive(tmp_path / "2.tar", "name", dict(reversed(members.items())), digests)
    assert first == again
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()
    with tarfile.open(tmp_path / "1.tar") as tar:
        assert tar.getnames() == ["name/a/c", "name/b", "name/empty"]
        told = {(m.mode, m.mtime, m.uid, m.gid, m.uname, m.gname, m.isreg()) for m in tar.getmembers()}
    assert told == {(0o644, 0, 0, 0, "", "", True)}


def test_a_file_that_changes_while_it_is_packed(tmp_path: Path) -> None:
    with pytest.raises(ChangedMeanwhile, match="a is no longer"):
        write_archive(tmp_path / "a.tar", "name", {"a": b"new"}, {"a": digest_of_bytes(b"old")})
    assert list(tmp_path.iterdir()) == []


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, **fields: Any) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    for key, value in fields.items():
        setattr(member, key, value)
    return member.tobuf(tarfile.USTAR_FORMAT if size < 8 << 30 else tarfile.GNU_FORMAT, "utf-8", "strict")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "ends too early"),
        (b"x" * 5000, "is no tar file"),
        (b"\x1f\x8b" + b"x" * 5000, "is compressed (gzip)"),
        (b"BZh" + b"x" * 5000, "is compressed (bzip2)"),
        (header("../../etc/passwd", 3) + b"abc" + bytes(509), "leaves its folder"),
        (header("/etc/passwd", 3) + b"abc" + bytes(509), "leaves its folder"),
        (header("a/b:c/../d", 3) + b"abc" + bytes(509), "leaves its folder"),
        (header("a/b", kind=tarfile.SYMTYPE, linkname="/etc/passwd"), "type"),
        (header("a/b", kind=tarfile.LNKTYPE, linkname="a/c"), "its header at byte 0"),
        (header("a/b", kind=tarfile.FIFOTYPE), "its header at byte 0"),
        (header("a", kind=tarfile.DIRTYPE), "its header at byte 0"),
        (header("a/b", (8 << 30) - 1), "bytes of it are missing"),
        (header("a/b", 8 << 50), "the header at byte 0 cannot be read"),
        (header("a/b", 5, mtime=1), "time"),
        (b"".join(header(f"a/{i:05}") for i in range(300)), "more than 200 members"),
        (bytes(10240), "there is none"),
        (bytes(512) + b"x" * 9728, "is not zero"),
    ],
)
def test_hostile_archives(content: bytes, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssdconvert.release.archive.MOST_MEMBERS", 200)
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    before = set(tmp_path.rglob("*"))
    checked = check(path)
    assert checked.verdict == "fail"
    assert told in " ".join(f"{path} {problem}" for path, problem in checked.problems)
    assert set(tmp_path.rglob("*")) == before


def test_archives_of_others_are_not_ours(archive: Path, tmp_path: Path) -> None:
    """The same files in another program's form of a tar file."""
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tmp_path / "other.tar"
        with tarfile.open(archive) as given, tarfile.open(path, "w", format=form) as other:
            for member in given:
                member.mtime = 1700000000.5
                other.addfile(member, given.extractfile(member))
        assert check(path).problems


def test_members_twice_out_of_order_and_elsewhere(tmp_path: Path) -> None:
    for names, told in (
        (["a/b", "a/b"], "there twice"),
        (["a/c", "a/b"], "is not in its place"),
        (["a/b", "b/c"], "is not in the folder a"),
        (["a"], "is not in the folder a"),
    ):
        path = tmp_path / "a.tar"
        path.write_bytes(b"".join(map(header, names)) + bytes(1024))
        assert told in str(check(path).problems)


def test_it_is_read_from_its_beginning_once(archive: Path) -> None:
    from ssdconvert.release.archive import CanonicalTar

    class Stream(io.RawIOBase):
        """What cannot be read twice."""

        def __init__(self, path: Path) -> None:
            self.file, self.taken = path.open("rb"), 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            got = self.file.readinto(buffer)
            self.taken += got
            return got

        def fileno(self) -> int:
            return self.file.fileno()

    stream = Stream(archive)
    tar = CanonicalTar(io.BufferedReader(stream))
    names = [member.name for member in tar]
    assert tar.problems == []
    assert "tiny/SHA256SUMS" in names
    assert stream.taken == archive.stat().st_size
    stream.file.close()
