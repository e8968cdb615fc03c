"""The contenders that a MODEL on the command line stands for: its IRs, its ONNX graph, the original of its recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssdconvert.build_plan import PRECISIONS
from ssdconvert.catalog import Catalog, CatalogEntry
from ssdconvert.devices import Machine
from ssdconvert.errors import ConversionError, RecipeError
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.ir_description import description_in
from ssdconvert.ir_file import read_ir
from ssdconvert.model_given import MODEL_FILES, model_given
from ssdconvert.pictures import embedded_pictures, named_pictures, read_picture
from ssdconvert.recipe import STAND_IN, Recipe
from ssdconvert.recipe_source import IrSource, OnnxSource
from ssdconvert.speed.engines import Contender, numbered
from ssdconvert.speed.onnx_engine import onnx_contender
from ssdconvert.speed.openvino_engine import openvino_contender
from ssdconvert.speed.original_engine import original_contenders
from ssdconvert.speed.result import Skipped
from ssdconvert.ssd.preprocess import Pixels
from ssdconvert.workspace import PRIVATE

OPENVINO, ONNX_RUNTIME, ORIGINAL = "openvino", "onnxruntime", "original"
ENGINES = (OPENVINO, ONNX_RUNTIME, ORIGINAL)
UNTOLD = "not told"  # precision of somebody's IR


@dataclass(frozen=True)
class Asked:
    """What a user says of the contenders: empty precisions are all that are built, empty engines all there are."""

    machines: tuple[Machine, ...] = (Machine(),)
    precisions: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    against: tuple[Path, ...] = ()
    recipe: str | None = None
    picture: Path | None = None


@dataclass(frozen=True)
class Given:
    """Whom a model is measured against. `model` and `picture` are names, without folders."""

    model: str
    picture: str
    contenders: tuple[Contender, ...]
    skipped: tuple[Skipped, ...]
    stand_in: bool


def contenders_of(model: str, catalog: Catalog, asked: Asked, fetching: FetchOptions) -> Given:
    """Return the contenders for MODEL, its IRs first.

    `fetching` is where the original's files are looked for; nothing is downloaded. Raises RecipeError where there is
    no such model or precision.
    """
    wanted = tuple(word.upper() for word in asked.precisions)
    path, recipe = model_given(model, catalog, asked.recipe, wanted[0] if wanted else None)
    files = _of_build(model, path, catalog, asked, wanted)
    _refuse_another(path, recipe)
    recipe = recipe or _told_by(path, catalog)
    entry = _entry(recipe, catalog)
    name, pixels = _picture(asked.picture, entry)
    engines = asked.engines or ENGINES
    contenders, skipped = list[Contender](), list[Skipped]()
    if OPENVINO in engines:
        contenders += [
            openvino_contender(
                _title(kind, file, machine, asked.machines), file, kind, pixels, recipe, machine
            )
            for machine in asked.machines
            for kind, file in files.items()
        ]
    for file in asked.against:
        contenders.append(_given_against(file, pixels, recipe, asked.machines[0]))
    if ONNX_RUNTIME in engines:
        graph = path if path.suffix == ".onnx" else path.parent.parent / f"{path.stem}.onnx"
        if graph.is_file():
            contenders.append(_in_onnx_runtime("ONNX Runtime", graph, pixels, recipe, False))
        else:
            reason = f"there is no {graph.name} beside the IR: give the file with --against"
            skipped.append(Skipped("ONNX Runtime", reason))
    if ORIGINAL in engines:
        found, missing = _originals(path, recipe, entry, pixels, fetching)
        contenders += found
        skipped += missing
    stand_in = path.stem.endswith(STAND_IN)
    return Given(
        path.stem,
        f"{name} {pixels.shape[1]}x{pixels.shape[0]}",
        numbered(contenders),
        tuple(skipped),
        stand_in,
    )


def refuse_hints(machines: Sequence[Machine]) -> None:
    """Raise RecipeError for a setting that says otherwise than --hint."""
    if any("PERFORMANCE_HINT" in machine.settings for machine in machines):
        raise RecipeError(
            "PERFORMANCE_HINT is set by --hint",
            hint="give --hint latency or --hint throughput",
            stage="usage",
        )


def _of_build(
    model: str, path: Path, catalog: Catalog, asked: Asked, wanted: Sequence[str]
) -> dict[str, Path]:
    """Return the files to run in OpenVINO by the precision of their weights."""
    if Path(model).suffix in MODEL_FILES:
        if wanted:
            raise RecipeError(
                f"{model} is one file, of one precision",
                hint="leave --precision out, or give the folder of the build",
                stage="bench",
            )
        return {_precision_of(path): path}
    if wanted:
        return {one: model_given(model, catalog, asked.recipe, one)[0] for one in dict.fromkeys(wanted)}
    folder = path.parent.parent
    beside = {one: folder / one / path.name for one in PRECISIONS}
    return {one: file for one, file in beside.items() if file.is_file()}


def _precision_of(path: Path) -> str:
    """Return the precision of a file's weights, in words of its own."""
    if path.suffix == ".xml":
        return description_in(read_ir(path)).get("precision", UNTOLD)
    import onnx

    from ssdconvert.onnx_file import read_onnx
    from ssdconvert.quantised_onnx import is_quantised

    graph = read_onnx(path)
    halves = any(one.data_type == onnx.TensorProto.FLOAT16 for one in graph.graph.initializer)
    return "INT8" if is_quantised(graph) else "FP16" if halves else "FP32"


def _title(precision: str, path: Path, machine: Machine, machines: Sequence[Machine]) -> str:
    told = f"{precision} IR" if precision in PRECISIONS else path.name
    if path.suffix == ".onnx":
        told = f"{path.name} in OpenVINO"
    return told if [one.device for one in machines] == ["CPU"] else f"{told} on {machine.device}"


def _refuse_another(path: Path, recipe: Recipe | None) -> None:
    """Raise RecipeError for a recipe that an IR was not made by: its original is another model."""
    own = _name_told_by(path)
    if recipe and own and own != recipe.name.removesuffix(STAND_IN):
        raise RecipeError(
            f"{path} says that it was made by the recipe {own}, not by {recipe.name}",
            hint="leave --recipe out, or give that one",
            stage="bench",
        )


def _name_told_by(path: Path) -> str:
    """Return the name of the recipe that an IR says it was made by, empty where it says none."""
    if path.suffix != ".xml":
        return ""
    return description_in(read_ir(path)).get("recipe", "").removesuffix(STAND_IN)


def _told_by(path: Path, catalog: Catalog) -> Recipe | None:
    """Return the recipe that an IR says it was made by, None where it says none or nobody has it."""
    name = _name_told_by(path)
    try:
        return catalog.find(name).recipe if name else None
    except RecipeError:
        return None


def _entry(recipe: Recipe | None, catalog: Catalog) -> CatalogEntry | None:
    """Return where a recipe lies, None for one that is found by its path alone."""
    try:
        return catalog.find(recipe.name) if recipe else None
    except RecipeError:
        return None


def _picture(given: Path | None, entry: CatalogEntry | None) -> tuple[str, Pixels]:
    """Return name and pixels of the picture that is given, else of the recipe's first, else of an embedded one."""
    known = named_pictures(entry) if entry else embedded_pictures()
    name, path = (given.name, given) if given else known[0]
    return name, read_picture(path)


def _in_onnx_runtime(
    name: str, path: Path, pixels: Pixels, recipe: Recipe | None, required: bool
) -> Contender:
    return onnx_contender(name, path, _precision_of(path), pixels, recipe, required)


def _given_against(path: Path, pixels: Pixels, recipe: Recipe | None, machine: Machine) -> Contender:
    """Return a file to measure against: an .onnx in ONNX Runtime, an .xml in OpenVINO."""
    if path.suffix not in MODEL_FILES or not path.is_file():
        problem = "is no .xml or .onnx" if path.is_file() else "does not exist"
        raise RecipeError(f"{path} {problem}", hint="give an .xml or .onnx file", stage="bench")
    if path.suffix == ".onnx":
        return _in_onnx_runtime(f"given {path.name}", path, pixels, recipe, True)
    name = f"given {path.name}"
    return openvino_contender(name, path, _precision_of(path), pixels, None, machine)


def _originals(
    path: Path,
    recipe: Recipe | None,
    entry: CatalogEntry | None,
    pixels: Pixels,
    fetching: FetchOptions,
) -> tuple[list[Contender], list[Skipped]]:
    """Return the original of a recipe in its own engine, or why it is not there."""
    if recipe is None:
        return [], [Skipped("original", "nothing says of which recipe this model is: give --recipe NAME")]
    if isinstance(recipe.source, IrSource):
        return [], [Skipped("original", "it is an IR itself: give it with --against")]

    def files() -> Mapping[str, Path]:
        return _files(path, recipe, fetching)

    if isinstance(recipe.source, OnnxSource):
        try:
            (original,) = files().values()
        except ConversionError as error:
            return [], [Skipped("original ONNX", error.message)]
        return [_in_onnx_runtime("original ONNX", original, pixels, recipe, False)], []
    return original_contenders(recipe, files, pixels), []


def _files(path: Path, recipe: Recipe, fetching: FetchOptions) -> Mapping[str, Path]:
    """Return the original's files by name, a stand-in's from its build, others from cache or mirror."""
    from ssdconvert.errors import FetchError
    from ssdconvert.stages.fetch import fetch

    if path.stem.endswith(STAND_IN):
        folder = path.parent.parent / PRIVATE / "stand-in"
        made = {file.name: folder / file.name for file in recipe.source.files}
        if all(file.is_file() for file in made.values()):
            return made
        raise ConversionError("the build does not hold its stand-in any more", stage="bench")
    try:
        return {file.name: file.path for file in fetch(recipe, fetching)}
    except FetchError as error:
        raise ConversionError(
            f"its files are not in the cache: run `ssdconvert fetch {recipe.name}`", stage="bench"
        ) from error
