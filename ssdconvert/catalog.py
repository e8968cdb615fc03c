"""Finds recipes: in the folders that the user names, then the shipped ones, then plug-ins; the first wins.

A plug-in is an entry point of the group `ssdconvert.recipes`: a module or package whose folder holds recipe
files, or a callable that returns such a folder.
"""

import difflib
import importlib.metadata
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ssdconvert.errors import RecipeError
from ssdconvert.recipe import Recipe, load_recipe
from ssdconvert.recipe_types import GENERATED
from ssdconvert.resources import package_file, recipe_file

PLUGIN_GROUP = "ssdconvert.recipes"
SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class CatalogEntry:
    """A recipe and the file that it was read from."""

    path: Path
    recipe: Recipe

    def stand_in(self) -> "CatalogEntry":
        """Return the recipe for an original made from a seed."""
        return CatalogEntry(self.path, self.recipe.stand_in())

    def pictures(self) -> list[Path]:
        """Return the recipe's reference pictures as paths; whether they exist is not checked."""
        return [recipe_file(reference, self.path.parent) for reference in self.recipe.pictures]

    def calibration(self) -> str | None:
        """Return the recipe's calibration set as a path or as generated:COUNT; None where it has none."""
        reference = self.recipe.calibration
        if reference is None or reference.startswith(GENERATED):
            return reference
        return str(recipe_file(reference, self.path.parent))


class Catalog:
    """The recipes of `folders`, of ssdconvert itself, and of the installed plug-ins.

    Files are read when they are asked for. `warnings` collects what `all_entries` and `find` left
    out: broken plug-ins and broken recipe files.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self.warnings: list[str] = []
        self._plugins_searched = False
        self._paths: dict[str, Path] = {}  # by recipe name
        for folder in [*folders, shipped_recipes_folder()]:
            self._add(folder)

    def find(self, name_or_path: str) -> CatalogEntry:
        """Return the recipe of that name, or of that file if it holds a separator or ends in .yaml."""
        if _looks_like_path(name_or_path):
            return _entry(Path(name_or_path))
        if name_or_path not in self._paths:
            self._search_plugins()
        if name_or_path in self._paths:
            return _entry(self._paths[name_or_path])
        if Path(name_or_path).is_file():
            return _entry(Path(name_or_path))
        raise self._unknown(name_or_path)

    def find_all(self, names_or_paths: Sequence[str]) -> list[CatalogEntry]:
        """Return the recipes that are built together; RecipeError where two files hold recipes of one name."""
        entries = [self.find(name) for name in names_or_paths]
        paths: dict[str, Path] = {}
        for entry in entries:
            first = paths.setdefault(entry.recipe.name, entry.path)
            if first.resolve() != entry.path.resolve():
                raise RecipeError(
                    f"two recipes of the name {entry.recipe.name}: {first} and {entry.path}",
                    hint="one would be built over the other: build them one by one, each with an --output of its own",
                )
        return entries

    def all_entries(self) -> list[CatalogEntry]:
        """Return every recipe that can be read, by name."""
        self._search_plugins()
        entries = []
        for _, path in sorted(self._paths.items()):
            try:
                entries.append(_entry(path))
            except RecipeError as error:
                self._warn(error.message)
        return entries

    def _add(self, folder: Path) -> None:
        try:
            files = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
        except OSError as error:
            raise RecipeError(
                f"{folder}: cannot read this folder of recipes: {error.strerror}",
                hint="--recipes and SSDCONVERT_RECIPES name folders that hold .yaml files",
            ) from None
        for path in files:
            self._paths.setdefault(path.stem, path)

    def _search_plugins(self) -> None:
        if self._plugins_searched:
            return
        self._plugins_searched = True
        for plugin in sorted(importlib.metadata.entry_points(group=PLUGIN_GROUP), key=lambda p: p.name):
            try:
                self._add(_plugin_folder(plugin))
            except RecipeError as error:
                self._warn(f"plug-in {plugin.name!r} ({plugin.value}): {error.message}")
            except Exception as error:  # other people's code: whatever it raises, the rest must work
                self._warn(f"plug-in {plugin.name!r} ({plugin.value}): {type(error).__name__}: {error}")

    def _warn(self, warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)

    def _unknown(self, name: str) -> RecipeError:
        message = f"unknown recipe {name!r}"
        near = difflib.get_close_matches(name, self._paths)
        if near:
            message += f": did you mean {' or '.join(repr(other) for other in near)}?"
        if self.warnings:
            message += "\nit may be in a plug-in that does not work:\n" + "\n".join(self.warnings)
        return RecipeError(
            message, hint="`ssdconvert list` prints every recipe; a path to a .yaml file works too"
        )


def shipped_recipes_folder() -> Path:
    """Return the folder of the shipped recipes: in the installed package, else beside it in a checkout."""
    inside = package_file("package:recipes")
    return inside if inside.is_dir() else inside.parent.parent / "recipes"


def _looks_like_path(name: str) -> bool:
    separators = [separator for separator in ("/", os.sep, os.altsep) if separator]
    return name.endswith(SUFFIXES) or any(separator in name for separator in separators)


def _plugin_folder(plugin: importlib.metadata.EntryPoint) -> Path:
    loaded = plugin.load()
    if callable(loaded):
        return Path(loaded())
    folders = list(getattr(loaded, "__path__", []))  # a package; a namespace package may have several
    return Path(folders[0]) if folders else Path(loaded.__file__).parent


def _entry(path: Path) -> CatalogEntry:
    recipe = load_recipe(path)
    if recipe.name != path.stem:
        raise RecipeError(
            f"{path}: name: expected {path.stem!r}, the file's name, got {recipe.name!r}",
            hint=f"rename the file to {recipe.name}.yaml, or change `name` in it",
        )
    return CatalogEntry(path, recipe)
