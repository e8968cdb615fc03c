"""Finds the file, and the recipe, that a MODEL on the command line stands for."""

from collections.abc import Sequence
from pathlib import Path

from ssdconvert.build_plan import PRECISIONS
from ssdconvert.catalog import SUFFIXES, Catalog
from ssdconvert.errors import RecipeError
from ssdconvert.recipe import STAND_IN, Recipe
from ssdconvert.workspace import PRIVATE

MODEL_FILES = (".xml", ".onnx")


def model_given(
    model: str, catalog: Catalog, recipe: str | None = None, precision: str | None = None
) -> tuple[Path, Recipe | None]:
    """Return the .xml or .onnx that MODEL stands for, and the recipe that says how it is used.

    MODEL is such a file, the folder of a build, or a recipe's name or file, whose build is in build/NAME.
    `recipe` names another recipe. Raises RecipeError where there is no such file or nothing is built.
    """
    path = Path(model)
    asked = catalog.find(recipe).recipe if recipe else None
    if path.suffix in MODEL_FILES:
        if not path.is_file():
            raise RecipeError(f"there is no {path}", hint="check the path", stage="detect")
        return path, asked
    if path.is_dir() and path.suffix not in SUFFIXES:
        found = _built_in(path, precision)
        if found:
            return found, asked or _recipe_named(_owner(path), catalog)
        if not (Path("build") / model).is_dir():
            raise RecipeError(
                f"the folder {path} holds no IR{f' in {precision}' if precision else ''}",
                hint="give the folder of a build, with FP32 or FP16 in it, or the .xml itself",
                stage="detect",
            )
    name = path.stem if path.suffix in SUFFIXES else model
    found = _built_in(Path("build") / name, precision)
    if found is None:
        where = Path("build") / name / (precision or PRECISIONS[0]) / f"{name}.xml"
        raise RecipeError(
            f"{model} is not built: there is no {where}",
            hint=f"run `ssdconvert build {model}`; or give the path of a .xml or .onnx",
            stage="detect",
        )
    return found, asked or _recipe_named(model, catalog)


def _built_in(folder: Path, precision: str | None) -> Path | None:
    """Return the IR in the folder of a build, of a precision or of the first that is there."""
    for one in [precision] if precision else PRECISIONS:
        found = sorted((folder / one).glob("*.xml"))
        if len(found) == 1:
            return found[0]
    return None


def _owner(folder: Path) -> str:
    """Return the name of the recipe that a folder is a build of."""
    try:
        return (folder / PRIVATE / "recipe").read_text("utf-8").strip()
    except OSError:
        return folder.resolve().name


def _recipe_named(name: str, catalog: Catalog) -> Recipe | None:
    """Return a recipe for an IR that does not say itself how it is fed; None where there is none of this name."""
    try:
        return catalog.find(name.removesuffix(STAND_IN)).recipe
    except RecipeError:  # its build says all that is needed
        return None


def expanded(paths: Sequence[str]) -> list[Path]:
    """Return paths with those that are no file and hold *, ? or [ replaced by what they match, `**` any folders.

    Raises RecipeError for a pattern that matches nothing.
    """
    import glob

    found: list[Path] = []
    for path in paths:
        if Path(path).exists() or not glob.has_magic(path):
            found.append(Path(path))
            continue
        matches = sorted(glob.glob(path, recursive=True))
        if not matches:
            raise RecipeError(f"no file matches {path}", hint="check the pattern", stage="picture")
        found += map(Path, matches)
    return found
