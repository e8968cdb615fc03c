"""`detect`: one picture through a built model, as text, JSON and a picture."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssdconvert.cli.options import Settings, output_options, recipe_options
from ssdconvert.errors import RecipeError

if TYPE_CHECKING:
    from ssdconvert.catalog import Catalog
    from ssdconvert.recipe import Recipe

PRECISIONS = ["FP32", "FP16", "INT8"]


@click.command("detect", short_help="What a built model finds in a picture.")
@click.argument("model")
@click.argument("image", type=click.Path(path_type=Path))
@click.option(
    "--threshold", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Lowest score shown."
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS, case_sensitive=False),
    help="Weight precision.  [default: the first that is built]",
)
@click.option("--device", default="CPU", show_default=True, help="OpenVINO device.")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), default="out.png", show_default=True,
    help="The picture with what was found; its name says the format.",
)  # fmt: skip
@recipe_options
@output_options
def detect_command(
    model: str,
    image: Path,
    threshold: float,
    precision: str | None,
    device: str,
    output: Path,
    catalog: "Catalog",
    settings: Settings,
) -> None:
    """Show what a model finds in IMAGE.

    MODEL is a recipe's name, whose build in build/NAME is used, or the .xml of a build.
    """
    from ssdconvert.cli.render import found_text
    from ssdconvert.pictures import read_picture
    from ssdconvert.stages.detect import detect, detections_document, draw

    ir = _find_ir(model, precision)
    pixels = read_picture(image)
    found, ran_on = detect(ir, pixels, device.upper(), threshold, _recipe_of(model, catalog))
    try:
        draw(pixels, found, output)
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"the picture {output} cannot be written: {error}",
            hint="give --output a name in a folder that can be written, ending in .png, .jpg or .bmp",
            stage="output",
        ) from error
    document = detections_document(str(ir), ran_on, str(image), pixels, str(output), found)
    settings.result(found_text(found, output), document)


def _recipe_of(model: str, catalog: "Catalog") -> "Recipe | None":
    """Return the recipe that MODEL names, for an IR that does not say itself how it is fed."""
    if model.endswith(".xml"):
        return None
    from ssdconvert.recipe import STAND_IN

    try:
        return catalog.find(model.removesuffix(STAND_IN)).recipe
    except RecipeError:  # its build says all that is needed
        return None


def _find_ir(model: str, precision: str | None) -> Path:
    """Return the path of the .xml that MODEL stands for."""
    if not model.endswith(".xml"):
        name = Path(model).stem if model.endswith((".yaml", ".yml")) else model
        folders = [precision] if precision else PRECISIONS
        paths = [Path("build") / name / folder / f"{name}.xml" for folder in folders]
        for path in paths:
            if path.is_file():
                return path
        raise RecipeError(
            f"{model} is not built: there is no {paths[0]}",
            hint=f"run `ssdconvert build {model}`",
            stage="detect",
        )
    if not Path(model).is_file():
        raise RecipeError(f"there is no {model}", hint="check the path", stage="detect")
    return Path(model)
