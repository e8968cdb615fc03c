"""A recipe in words: the original and the converted model side by side."""

import textwrap
from collections.abc import Iterator, Sequence

from ssdconvert.catalog import CatalogEntry
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_rows import Row, rows
from ssdconvert.recipe_source import CaffeSource, File

MARGIN, COLUMN = 13, 46  # characters


def recipe_text(entry: CatalogEntry) -> str:
    """Return what a recipe says."""
    recipe = entry.recipe
    facts = [
        ("recipe", str(entry.path)),
        ("licence", recipe.licence),
        *([("homepage", recipe.homepage)] if recipe.homepage else []),
        *(("file", _file_text(file)) for file in recipe.source.files),
        *(
            (f"{name}", f"{_file_text(file)}, if it is in the cache or in a mirror")
            for name, file in _evidence(recipe)
        ),
    ]
    lines = [f"{recipe.name}: {recipe.title}", ""]
    lines += [f"  {name:{MARGIN}}{value}" for name, value in facts]
    lines += ["", *_side_by_side([("", "original", "converted"), *rows(recipe)]), ""]
    for accuracy in recipe.accuracy:
        lines += _paragraph(
            "accuracy", f"{accuracy.metric} {accuracy.value:g} by {accuracy.by} ({accuracy.source})"
        )
    for note in recipe.notes:
        lines += _paragraph("note", note)
    return "\n".join(line.rstrip() for line in lines)


def _evidence(recipe: Recipe) -> Iterator[tuple[str, File]]:
    file = recipe.source.evidence
    if file:
        yield "twin" if isinstance(recipe.source, CaffeSource) else "recorded", file


def _side_by_side(table: Sequence[Row]) -> Iterator[str]:
    for name, original, converted in table:
        left, right = (textwrap.wrap(cell, COLUMN) or [""] for cell in (original, converted))
        for index in range(max(len(left), len(right))):
            cells = [column[index] if index < len(column) else "" for column in (left, right)]
            yield f"  {name if index == 0 else '':{MARGIN}}{cells[0]:{COLUMN}}  {cells[1]}"


def _paragraph(name: str, text: str) -> list[str]:
    lines = textwrap.wrap(text, 2 * COLUMN + 2)
    return [f"  {name if index == 0 else '':{MARGIN}}{line}" for index, line in enumerate(lines)]


def _file_text(file: File) -> str:
    size = f"{file.size} bytes" if file.size else "size not published"
    digest = (
        f"sha256 {file.sha256}" if file.sha256 else f"sha384 {file.sha384}" if file.sha384 else "unpinned"
    )
    return f"{file.name}  {size}  {digest}"
