"""Files inside the installed package, and the references by which recipes name them."""

from pathlib import Path

SCHEME = "package:"


def package_file(reference: str) -> Path:
    """Return the path that `package:RELATIVE/PATH` stands for."""
    return Path(__file__).parent / reference.removeprefix(SCHEME)


def recipe_file(reference: str, recipe_folder: Path) -> Path:
    """Return the path of a file that a recipe names: `package:...`, or relative to the recipe."""
    return package_file(reference) if reference.startswith(SCHEME) else recipe_folder / reference
