"""What Python programs call: `ssdconvert.verify`, the same gate as `ssdconvert verify`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssdconvert.catalog import CatalogEntry
    from ssdconvert.devices import Machine
    from ssdconvert.fetching.options import FetchOptions
    from ssdconvert.recipe import Recipe
    from ssdconvert.report.result import Verification
    from ssdconvert.samples import PictureFile

PathLike = str | Path


def verify(
    model: PathLike,
    against: PathLike | None = None,
    recipe: PathLike | None = None,
    *,
    images: PathLike | Sequence[PathLike] = (),
    devices: str | Sequence[str] = ("CPU",),
    required_devices: str | Sequence[str] = (),
    toolchains: str | Sequence[str] = (),
    device_config: PathLike | Sequence[PathLike] = (),
    extensions: PathLike | Sequence[PathLike] = (),
    trace: bool = False,
    output: PathLike | None = None,
    tail: str = "nms",
    converter: str = "mo",
    bake: str = "values",
    stand_in: bool = False,
    recipes: PathLike | Sequence[PathLike] = (),
    fetching: "FetchOptions | None" = None,
) -> "Verification":
    """Return every check of a model against its original; `.verdict` is pass, fail or inconclusive.

    `model` is a recipe's name or file: its build in `output` (build/NAME) is made as far as it is not up to
    date, and judged anew. With `against`, `model` and `against` are two files, ONNX or IR each, and `recipe`
    (a name or a file) says how they are fed and what the limits are; without it both are fed the same
    numbers. Then a report is written only where `output` names a folder, and what says how a build is made (`tail`,
    `converter`, `bake`, `stand_in`) is refused. `images` are pictures or folders
    of them, beside those of the recipe; `toolchains` other versions of OpenVINO (`ssdconvert toolchain list`) that
    run the same files, beside this one; `tail` is what a build puts behind the heads (nms, detection-output or
    heads), `converter` what makes its IR (mo or openvino) and `bake` what preprocessing is inside (values or image);
    `recipes` folders of more recipes. `device_config` are settings of the devices, each KEY=VALUE or a file;
    `extensions` libraries with more operations. `fetching` says where files are taken from, by default the user's
    cache and the network.

    Raises the subclasses of ssdconvert.errors.SsdconvertError that the command line turns into exit codes; a
    wrong model raises nothing.
    """
    from ssdconvert.build_result import BuildOptions
    from ssdconvert.catalog import Catalog
    from ssdconvert.fetching.options import FetchOptions, default_cache
    from ssdconvert.pictures import named_pictures, pictures_beside
    from ssdconvert.pipeline import build

    catalog = Catalog([Path(folder) for folder in _several(recipes)])
    pictures = [Path(image) for image in _several(images)]
    machines = machines_asked_for(
        [str(name) for name in _several(devices)],
        [str(name) for name in _several(required_devices)],
        [str(one) for one in _several(device_config)],
        [Path(path) for path in _several(extensions)],
    )
    required = named_devices([str(name) for name in _several(required_devices)])
    others = [str(name) for name in _several(toolchains)]
    folder = Path(output) if output is not None else None
    if against is not None:
        refuse_build_options(tail, converter, bake, stand_in)
        entry = catalog.find(str(recipe)) if recipe is not None else None
        return verify_files(
            Path(model), Path(against), entry, pictures, machines, required, trace, folder, others
        )
    refuse_file(str(model), recipe)
    entry = catalog.find(str(model))
    entry = entry.stand_in() if stand_in else entry
    options = BuildOptions(
        folder or Path("build") / entry.recipe.name,
        fetching or FetchOptions(default_cache()),
        machines=machines,
        required_devices=required,
        rerun=("verify",),
        trace=trace,
        images=pictures_beside(named_pictures(entry), pictures),
        toolchains=tuple(others),
        tail=tail,
        converter=converter,
        bake=bake,
    )
    verification = build(entry, options).verification
    assert verification is not None
    return verification


def _several(given: PathLike | Sequence[PathLike]) -> Sequence[PathLike]:
    """Return a list of one where one is given: a text is a list of its letters else."""
    return [given] if isinstance(given, str | Path) else given


def verify_files(
    model: Path,
    against: Path,
    entry: "CatalogEntry | None",
    images: Sequence[Path],
    machines: "Sequence[Machine]",
    required_devices: Sequence[str],
    trace: bool,
    output: Path | None,
    toolchains: Sequence[str] = (),
) -> "Verification":
    """Return what comes of comparing two files, and write the report where `output` names a folder."""
    from ssdconvert.given.comparison import verify_files as compare
    from ssdconvert.pictures import embedded_pictures, named_pictures, pictures_beside
    from ssdconvert.samples import picture_files
    from ssdconvert.toolchains.environment import running

    others = running(toolchains)
    own = named_pictures(entry) if entry else embedded_pictures()
    pictures = picture_files([*own, *pictures_beside(own, images)])
    recipe = entry.recipe if entry else None
    verification, used = compare(model, against, recipe, pictures, machines, required_devices, trace, others)
    if output is not None:
        _write_report(used, verification, pictures, output)
    return verification


def named_devices(devices: Sequence[str]) -> tuple[str, ...]:
    """Return OpenVINO's names of devices, each once; RecipeError for one that is misspelt."""
    from ssdconvert.devices import device_name

    return tuple(dict.fromkeys(str(device_name(name)) for name in devices))


def machines_asked_for(
    devices: Sequence[str],
    required: Sequence[str],
    device_config: Sequence[str] = (),
    extensions: Sequence[Path] = (),
) -> "tuple[Machine, ...]":
    """Return each device once, with its settings; the CPU where none is asked for.

    Raises RecipeError for a name that is misspelt, for a setting that a device refuses and for a library that is
    not there, ConversionError for a library that does not load: before anything is built.
    """
    from ssdconvert.device_config import settings_by_device
    from ssdconvert.devices import Machine

    names = named_devices((*devices, *required)) or ("CPU",)
    settings = settings_by_device(device_config, names)
    machines = tuple(Machine(name, tuple(extensions), settings[name]) for name in names)
    if device_config or extensions:
        _refuse_wrong_settings(machines)
    return machines


def _refuse_wrong_settings(machines: "Sequence[Machine]") -> None:
    from contextlib import suppress

    from ssdconvert.errors import MissingDevice
    from ssdconvert.runners.openvino_core import core_with
    from ssdconvert.runners.openvino_devices import refuse_settings

    for machine in machines:
        core = core_with(machine.extensions)
        with suppress(MissingDevice):  # which the gate tells of
            refuse_settings(core, machine.device, machine.settings)


def refuse_file(model: str, recipe: object) -> None:
    """Raise RecipeError where something other than a recipe is to be verified against nothing."""
    from ssdconvert.errors import RecipeError

    if recipe is not None or model.lower().endswith((".xml", ".onnx")):
        raise RecipeError(
            f"{model} is to be verified, but against what is not said",
            hint="give the original too: verify MODEL --against ORIGINAL; or a recipe's name alone",
            stage="verify",
        )


def refuse_build_options(tail: str, converter: str, bake: str, stand_in: bool) -> None:
    """Raise RecipeError where two files are compared, and it is said how a build is made."""
    from ssdconvert.errors import RecipeError

    refused = (
        (stand_in, "--stand-in makes an original, and --against gives one"),
        (tail != "nms", "--tail says what a build makes, and with --against nothing is built"),
        (
            (converter, bake) != ("mo", "values"),
            "--converter and --bake say how a build is made, and with --against nothing is built",
        ),
    )
    for given, message in refused:
        if given:
            raise RecipeError(message, hint="leave out one of the two", stage="verify")


def _write_report(
    recipe: "Recipe", verification: "Verification", pictures: "Sequence[PictureFile]", folder: Path
) -> None:
    from ssdconvert.errors import RecipeError
    from ssdconvert.stages.report import report
    from ssdconvert.workspace import write_json

    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "report.json", verification.to_json())
        report(recipe, verification, pictures, folder)
    except OSError as error:
        raise RecipeError(
            f"the report cannot be written into {folder}: {error}",
            hint="give --output a folder that can be written",
            stage="output",
        ) from error
