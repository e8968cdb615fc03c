"""The recipe as resolved: with its defaults, and with the digests of what was fetched where it has none."""

from collections.abc import Iterable, Mapping

from ssdconvert.fetching.options import Fetched
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import File
from ssdconvert.recipe_yaml import yaml_text

EVIDENCE = ("recorded", "twin")  # keys of a source that hold a file


def resolved(recipe: Recipe, fetched: Iterable[Fetched]) -> Recipe:
    """Return a recipe in which the files that were fetched are pinned.

    `file:` URLs name a place on one machine and are left out: a pinned file is the same from anywhere.
    """
    known = {file.name: file for file in fetched}
    source = recipe.source
    changes: dict[str, object] = {"files": tuple(_pinned(file, known) for file in source.files)}
    for key in EVIDENCE:
        evidence = getattr(source, key, None)
        if evidence is not None:
            changes[key] = evidence.model_copy(update={"file": _pinned(evidence.file, known)})
    return recipe.model_copy(update={"source": source.model_copy(update=changes)})


def recipe_text(recipe: Recipe) -> str:
    """Return a recipe as YAML that `load_recipe` reads again, every key in its place."""
    return yaml_text(recipe.model_dump(mode="json", by_alias=True))


def _pinned(file: File, known: Mapping[str, Fetched]) -> File:
    urls = tuple(url for url in file.urls if not url.startswith("file:"))
    found = known.get(file.name)
    if found is None or file.sha256 or file.sha384:
        return file.model_copy(update={"urls": urls})
    return file.model_copy(update={"urls": urls, "size": found.bytes, "sha256": found.sha256})
