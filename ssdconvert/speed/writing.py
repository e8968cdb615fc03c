"""Writes a comparison of speeds: bench.json for programs, bench.md for people."""

from pathlib import Path

from ssdconvert.plain_text import plain
from ssdconvert.speed.markdown import to_markdown
from ssdconvert.speed.result import Comparison
from ssdconvert.workspace import make_folder, write_json, written_atomically


def write(comparison: Comparison, folder: Path) -> tuple[Path, Path]:
    """Write both files into a folder, and return their paths; RecipeError where it cannot be made."""
    make_folder(folder)
    document, page = folder / "bench.json", folder / "bench.md"
    write_json(document, comparison.to_json())
    with written_atomically(page) as temporary:
        temporary.write_text(plain(to_markdown(comparison)), "utf-8")
    return document, page
