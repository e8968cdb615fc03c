"""Paths that OpenVINO, ONNX Runtime and OpenCV can open: their Python bindings take none that is no UTF-8."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def native_path(path: Path) -> Iterator[Path]:
    """Give a path by which a library can open a file: its own, or one through a link to it or to its folder.

    A file that does not exist yet can be written if its own name is UTF-8. An .xml has its .bin beside it.
    """
    if _is_text(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="ssdconvert-") as place:
        if _is_text(Path(path.name)):
            folder = Path(place) / "folder"
            folder.symlink_to(path.parent.absolute(), target_is_directory=True)
            yield folder / path.name
            return
        for suffix in {path.suffix, ".bin"}:
            (Path(place) / f"model{suffix}").symlink_to(path.with_suffix(suffix).absolute())
        yield Path(place) / f"model{path.suffix}"


def _is_text(path: Path) -> bool:
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
