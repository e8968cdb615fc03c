"""`detect`: one picture through a built model, as text, JSON and a picture."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssdconvert.cli.options import Settings, output_options, recipe_options
from ssdconvert.errors import RecipeError

if TYPE_CHECKING:
    from ssdconvert.catalog import Catalog


@click.command("detect")
@click.argument("model")
@click.argument("image", type=click.Path(path_type=Path))
@click.option(
    "--threshold", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Lowest score shown."
)
@click.option(
    "--precision",
    type=click.Choice(["FP32", "FP16"], case_sensitive=False),
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

    ir, recipe_name = _find_ir(model, precision)
    recipe = catalog.find(recipe_name).recipe
    pixels = read_picture(image)
    found, ran_on = detect(recipe, ir, pixels, device, threshold)
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


def _find_ir(model: str, precision: str | None) -> tuple[Path, str]:
    """Return the path of the .xml and the name of the recipe that it was built from."""
    if not model.endswith(".xml"):
        name = Path(model).stem if model.endswith((".yaml", ".yml")) else model
        folders = [precision] if precision else ["FP32", "FP16"]
        paths = [Path("build") / name / folder / f"{name}.xml" for folder in folders]
        for path in paths:
            if path.is_file():
                return path, model
        raise RecipeError(
            f"{model} is not built: there is no {paths[0]}",
            hint=f"run `ssdconvert build {model}`",
            stage="detect",
        )
    path = Path(model)
    if not path.is_file():
        raise RecipeError(f"there is no {path}", hint="check the path", stage="detect")
    from ssdconvert.stages.detect import recipe_of

    return path, recipe_of(path)
