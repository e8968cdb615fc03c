"""Unpacks what a model is run with from an archive that was checked, into a folder that goes away afterwards."""

import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ssdconvert.errors import FetchError
from ssdconvert.release.archive import CanonicalTar
from ssdconvert.release.names import ACCEPTANCE, MANIFEST, RECIPE, REPORT

NEEDED = re.compile(
    rf"(FP32|FP16|INT8)/[^/]+\.(xml|bin)|{'|'.join(map(re.escape, (ACCEPTANCE, MANIFEST, RECIPE, REPORT)))}"
)


@contextmanager
def unpacked(archive: Path, digests: Mapping[str, str]) -> Iterator[Path]:
    """Give a folder with the IRs of an archive and what is needed to judge them.

    Each file goes where its name in `digests` (path -> SHA-256), which was checked, says; FetchError where it is not
    that file any more.
    """
    with tempfile.TemporaryDirectory(prefix="ssdconvert-") as place:
        folder = Path(place)
        left = {path: digest for path, digest in digests.items() if NEEDED.fullmatch(path)}
        with archive.open("rb") as file:
            tar = CanonicalTar(file)
            for member in tar:
                path = member.name.partition("/")[2]
                if path in left:
                    _write(folder / path, tar, left.pop(path), archive)
        if left:
            raise _changed(archive, ", ".join(left))
        yield folder


def _write(target: Path, tar: CanonicalTar, expected: str, archive: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    digest = hashlib.sha256()
    with target.open("xb") as file:
        for block in tar.blocks():
            digest.update(block)
            file.write(block)
    if digest.hexdigest() != expected:
        raise _changed(archive, target.name)


def _changed(archive: Path, name: str) -> FetchError:
    return FetchError(
        f"{archive} changed while it was checked: {name} is another file",
        hint="check it again",
        stage="check",
    )
