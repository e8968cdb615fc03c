"""What is evaluated: the models of a build in each precision, its original, or a model file alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdconvert.build_plan import PRECISIONS
from ssdconvert.catalog import Catalog
from ssdconvert.devices import Machine
from ssdconvert.errors import RecipeError
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.label_files import LabelList
from ssdconvert.model_given import MODEL_FILES, model_given
from ssdconvert.recipe import STAND_IN, Recipe, load_resolved_recipe
from ssdconvert.recipe_source import IrSource
from ssdconvert.workspace import PRIVATE, digest_of

ORIGINAL = "original"
ON_CPU = Machine()
ENGINES = {"pytorch": "torch", "onnx": "onnxruntime", "caffe": "opencv-python-headless", "ir": "openvino"}


@dataclass(frozen=True)
class ModelFile:
    """A file of a model: its name, where it is on this machine, and what is in it."""

    name: str
    path: Path
    sha256: str
    bytes: int

    @classmethod
    def at(cls, path: Path, name: str = "") -> "ModelFile":
        """Return a file as it lies there, by a name of its own or that of the path."""
        return cls(name or path.name, path, digest_of(path), path.stat().st_size)


@dataclass(frozen=True)
class Subject:
    """A model to evaluate, the `original` or one that is deployed, and what it runs on.

    `name` is a precision, `original`, or a file's name; of `files` the first one is opened. `labels` are a user's
    names of the classes.
    """

    name: str
    files: tuple[ModelFile, ...]
    recipe: Recipe | None
    original: bool = False
    labels: LabelList | None = None
    machine: Machine = ON_CPU

    @property
    def path(self) -> Path:
        """The file that is opened."""
        return self.files[0].path

    @property
    def engine(self) -> str:
        """The library that runs it, by the name of its distribution."""
        if self.original and self.recipe:
            return ENGINES[self.recipe.source.kind]
        return "openvino"

    @property
    def bytes(self) -> int:
        """The size of its files."""
        return sum(file.bytes for file in self.files)

    def to_json(self) -> dict[str, Any]:
        """Return what its detections depend on, beside the pictures: the same on every machine."""
        return {
            "original": self.original,
            "engine": self.engine,
            "device": "CPU" if self.original else self.machine.device,
            "settings": {} if self.original else dict(self.machine.settings),
            "files": {file.name: file.sha256 for file in self.files},
            "bytes": self.bytes,
        }


@dataclass(frozen=True)
class Subjects:
    """The models of one evaluation, in the order of the report, and the `name` and recipe that they have in common."""

    name: str
    recipe: Recipe | None
    models: tuple[Subject, ...]


@dataclass(frozen=True)
class Asked:
    """Which models are asked for: precisions of a build (all without any), its original, and what they run on."""

    precisions: Sequence[str] = ()
    original: bool = True
    recipe: str | None = None
    labels: LabelList | None = None
    machine: Machine = ON_CPU


def subjects_of(model: str, catalog: Catalog, fetching: FetchOptions, asked: Asked) -> Subjects:
    """Return what MODEL stands for: a file alone, or what is built of a recipe, or in a folder, and the original.

    Raises RecipeError where nothing is built, or a precision is asked of a file, FetchError where the original cannot
    be had.
    """
    if Path(model).suffix in MODEL_FILES:
        path, recipe = model_given(model, catalog, asked.recipe)
        if asked.precisions:
            raise RecipeError(
                f"{path} is one file, of one precision",
                hint="leave --precision out, or give the build",
                stage="usage",
            )
        one = Subject(path.name, _ir(path), recipe, labels=asked.labels, machine=asked.machine)
        return Subjects(path.stem, recipe, (one,))
    built = {}
    for precision in asked.precisions or PRECISIONS:
        try:
            built[precision] = model_given(model, catalog, asked.recipe, precision)[0]
        except RecipeError:
            if asked.precisions:
                raise
    if not built:
        model_given(model, catalog, asked.recipe)  # which says what is not there
    folder = next(iter(built.values())).parents[1]
    recipe = _recipe(folder, next(iter(built.values())).stem, catalog, asked.recipe)
    models = [
        Subject(precision, _ir(path), recipe, labels=asked.labels, machine=asked.machine)
        for precision, path in built.items()
    ]
    if asked.original:
        models.insert(0, Subject(ORIGINAL, _original(folder, recipe, fetching), recipe, original=True))
    return Subjects(next(iter(built.values())).stem, recipe, tuple(models))


def _ir(path: Path) -> tuple[ModelFile, ...]:
    weights = path.with_suffix(".bin")
    files = [path, weights] if path.suffix == ".xml" and weights.is_file() else [path]
    return tuple(ModelFile.at(file) for file in files)


def _recipe(folder: Path, name: str, catalog: Catalog, asked: str | None) -> Recipe | None:
    """Return the recipe of a build: one that is asked for, the catalogue's, or the build's own copy of it."""
    if asked:
        return catalog.find(asked).recipe
    try:
        recipe = catalog.find(name.removesuffix(STAND_IN)).recipe
    except RecipeError:
        own = folder / "recipe.yaml"
        return load_resolved_recipe(own) if own.is_file() else None
    return recipe.stand_in() if name.endswith(STAND_IN) else recipe


def _original(folder: Path, recipe: Recipe | None, fetching: FetchOptions) -> tuple[ModelFile, ...]:
    """Return the files of a build's original, fetched unless they are in the cache or were made from a seed."""
    from ssdconvert.stages.fetch import fetch

    if recipe is None:
        raise RecipeError(
            f"no recipe says what the original of {folder} is",
            hint="give --recipes, or --no-original to evaluate the build alone",
            stage="evaluate",
        )
    if not recipe.is_stand_in:
        wanted = [file for file in recipe.source.files if file.name in _names_of_original(recipe)]
        fetched = fetch(recipe, fetching, wanted)
        return tuple(ModelFile.at(file.path, file.name) for file in fetched)
    made = folder / PRIVATE / "stand-in"
    names = _names_of_original(recipe)
    if not all((made / name).is_file() for name in names):
        raise RecipeError(
            f"{made} does not hold {', '.join(names)}, the original that was made from a seed",
            hint=f"run `ssdconvert build {recipe.name.removesuffix(STAND_IN)} --stand-in`, or give --no-original",
            stage="evaluate",
        )
    return tuple(ModelFile.at(made / name, name) for name in names)


def _names_of_original(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of the files that are the original: of a ready IR the highest precision."""
    source = recipe.source
    if isinstance(source, IrSource):
        return next(pair for precision in PRECISIONS if (pair := source.pair(precision)))
    return tuple(file.name for file in source.files)


def paths_by_name(files: Sequence[ModelFile]) -> Mapping[str, Path]:
    """Return where files are by their names in the recipe."""
    return {file.name: file.path for file in files}
