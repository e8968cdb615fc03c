"""Carries the files of recipes to machines without a network: into one file here, out of it there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssdconvert.errors import FetchError
from ssdconvert.fetching.bundle import Entry, write_bundle
from ssdconvert.fetching.expected import Content
from ssdconvert.fetching.options import Fetched, FetchOptions
from ssdconvert.fetching.unpacked_bundle import import_bundle, index_of
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import File
from ssdconvert.stages.fetch import fetch_all, fetch_if_near

Had = tuple[Recipe, Fetched]


@dataclass(frozen=True)
class Bundled:
    """A bundle that was written: its size and SHA-256, and the files in it."""

    path: Path
    content: Content
    files: tuple[Had, ...]


def bundled(recipes: Sequence[Recipe], path: Path, options: FetchOptions) -> Bundled:
    """Fetch what is missing of these recipes, and write all of it as a bundle; evidence goes in where it is near.

    Raises FetchError when a file cannot be had, and when the bundle cannot be written.
    """
    distinct = list({recipe.name: recipe for recipe in recipes}.values())
    wanted = [(recipe, file) for recipe in distinct for file in recipe.source.files]
    taken = list(zip(wanted, fetch_all(wanted, options), strict=True))
    for recipe in distinct:
        evidence = recipe.source.evidence
        near = fetch_if_near(recipe, evidence, options) if evidence else None
        if evidence and near:
            taken.append(((recipe, evidence), near))
    entries = [
        (
            Entry(
                recipe=recipe.name,
                name=file.name,
                bytes=had.bytes,
                sha256=had.sha256,
                sha384=file.sha384,
            ),
            had.path,
        )
        for (recipe, file), had in taken
    ]
    content = write_bundle(path, entries)
    return Bundled(path, content, tuple((recipe, had) for (recipe, _), had in taken))


def unbundled(
    path: Path, recipes: Sequence[Recipe], options: FetchOptions, note: Callable[[str], None]
) -> list[Had]:
    """Take the files of these recipes from a bundle into the cache; those that it lacks are fetched.

    `note` is called with what the bundle lacks. Raises FetchError for a bundle that is damaged, for a file that is
    not what its recipe names, and for one that cannot be had.
    """
    had = import_bundle(path, _wanted(recipes), options)
    there = _names(had)
    missing = [
        (recipe, file)
        for recipe in recipes
        for file in recipe.source.files
        if (recipe.name, file.name) not in there
    ]
    for recipe, file in missing:
        note(f"{recipe.name}/{file.name} is not in {path}: it is fetched")
    fetched = fetch_all(missing, options) if missing else []
    return [*had, *((recipe, one) for (recipe, _), one in zip(missing, fetched, strict=True))]


def all_unbundled(
    path: Path, known: Sequence[Recipe], options: FetchOptions, note: Callable[[str], None]
) -> list[Had]:
    """Take all files of a bundle into the cache that known recipes name; nothing else is fetched.

    `note` is called with what is passed over, and with what a recipe still lacks. Raises FetchError as `unbundled`
    does, and where no recipe is known.
    """
    index, by_name = index_of(path), {recipe.name: recipe for recipe in known}
    for name in dict.fromkeys(entry.recipe for entry in index.files):
        if name not in by_name:
            note(f"passed over: {name}, a recipe that is not known here")
    recipes = [by_name[name] for name in dict.fromkeys(e.recipe for e in index.files) if name in by_name]
    if not recipes:
        raise FetchError(
            f"{path} has nothing for the recipes that are known here",
            hint="--recipes FOLDER adds recipes; `ssdconvert list` tells what is known",
        )
    named = {(recipe.name, file.name) for recipe, file in _wanted(recipes)}
    for entry in index.files:
        if entry.recipe in by_name and (entry.recipe, entry.name) not in named:
            note(f"passed over: {entry.path}, which the recipe does not name")
    had = import_bundle(path, _wanted(recipes), options)
    for recipe in recipes:
        for file in recipe.source.files:
            if (recipe.name, file.name) not in _names(had):
                note(f"{recipe.name}/{file.name} is not in {path}")
    return had


def _wanted(recipes: Sequence[Recipe]) -> list[tuple[Recipe, File]]:
    """Return the files of recipes, the evidence too."""
    return [(recipe, file) for recipe in recipes for file in recipe.source.published]


def _names(had: Sequence[Had]) -> set[tuple[str, str]]:
    return {(recipe.name, one.name) for recipe, one in had}
