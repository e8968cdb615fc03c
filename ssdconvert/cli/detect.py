"""`detect`: pictures through a model, in OpenVINO's object_detection_sample_ssd's stead."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssdconvert.cli.options import Settings, detect_output_options, extension_option, recipe_options
from ssdconvert.errors import RecipeError

if TYPE_CHECKING:
    from ssdconvert.catalog import Catalog

PRECISIONS = ["FP32", "FP16", "INT8"]
RESIZE_WORDS = {"stretch": "mode", "crop": "mode", "opencv": "library", "pillow": "library"}
FOLDER = click.Path(path_type=Path, file_okay=False)


def _numbers(_: Any, option: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    """Return three numbers, of one the same for all channels; a divisor is not 0."""
    if value is None:
        return None
    try:
        numbers = tuple(float(part) for part in value.replace(",", " ").split())
    except ValueError:
        numbers = ()
    finite = all(math.isfinite(number) for number in numbers)
    if len(numbers) not in (1, 3) or not finite or (option.name == "scale" and 0 in numbers):
        raise click.BadParameter(f"{value!r} is not one number, or three apart by commas")
    return numbers * (3 // len(numbers))


def _resize(_: Any, option: click.Parameter, value: str | None) -> dict[str, str] | None:
    """Return `mode` and `library`, those that are named."""
    if value is None:
        return None
    words = [word for word in value.lower().replace(",", " ").split() if word != "bilinear"]
    if not words or not set(words) <= set(RESIZE_WORDS):
        raise click.BadParameter(f"{value!r}: expected stretch or crop, opencv or pillow, or one of each")
    return {RESIZE_WORDS[word]: word for word in words}


@click.command("detect", short_help="What a model finds in pictures.")
@click.argument("arguments", metavar="[MODEL] [IMAGE]...", nargs=-1)
@click.option("-m", "--model", help="MODEL, as an option.")
@click.option("-i", "--input", "inputs", multiple=True, help="IMAGE, as an option; repeatable.")
@click.option("-d", "--device", default="CPU", show_default=True, help="OpenVINO device.")
@extension_option
@click.option(
    "-c",
    "--config",
    "--device-config",
    "configurations",
    multiple=True,
    help="Setting of the device: KEY=VALUE, or a file of such; repeatable.",
)
@click.option(
    "--labels", metavar="FILE|LIST", help="Names of the classes: a file, or coco-80, coco-91, voc-20."
)
@click.option("--recipe", "recipe_name", help="Recipe that says how MODEL is fed and read.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS, case_sensitive=False),
    help="Weight precision of a build.  [default: the first that is built]",
)
@click.option(
    "--mean", callback=_numbers, metavar="N[,N,N]", help="Subtracted from pixels of 0..255 before MODEL."
)
@click.option("--scale", callback=_numbers, metavar="N[,N,N]", help="Divides after the mean.")
@click.option(
    "--resize",
    callback=_resize,
    metavar="WORDS",
    help="stretch or crop, opencv or pillow: how pictures get the input's size.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Only detections of a higher score.",
)
@click.option("--top", type=click.IntRange(1), metavar="N", help="Only the best N of each picture.")
@click.option(
    "--output",
    metavar="FILE|DIR",
    help="Picture with what was found; the name says the format.  [default: out.png; of several the folder out]",
)
@click.option("--no-picture", is_flag=True, help="Draw nothing.")
@click.option("--save-crops", type=FOLDER, metavar="DIR", help="Write what each box shows, a picture each.")
@click.option("--force", is_flag=True, help="Write over pictures that ssdconvert did not make.")
@click.option(
    "--compare",
    metavar="ORIGINAL",
    help="Draw what ORIGINAL finds beside it: MODEL of another kind, or the recipe's own file.",
)
@click.option("--sample-log", is_flag=True, help="The lines that object_detection_sample_ssd logged.")
@recipe_options
@detect_output_options
def detect_command(
    arguments: tuple[str, ...], model: str | None, inputs: tuple[str, ...], catalog: "Catalog",
    settings: Settings, **options: Any,
) -> int:  # fmt: skip
    """Show what MODEL finds in each IMAGE.

    MODEL is a recipe's name, whose build in build/NAME is used, the folder of a build, an .xml or an .onnx. IMAGE
    is a picture, a folder of pictures, or a pattern such as 'street/*.jpg'. --color takes rgb and bgr too: the
    channel order in which MODEL is fed.
    """
    from ssdconvert.cli.detect_run import run_detect

    if model is None:
        model, arguments = (arguments[0], arguments[1:]) if arguments else (None, ())
    images = [*arguments, *inputs]
    if model is None or not images:
        missing = "MODEL" if model is None else "IMAGE"
        raise click.UsageError(f"Missing argument '{missing}'.")
    _refuse_together(settings, options)
    return run_detect(model, images, catalog, settings, options)


def _refuse_together(settings: Settings, options: dict[str, Any]) -> None:
    """Raise RecipeError for options that exclude each other."""
    pairs = [
        ("--sample-log", options["sample_log"], "--json", settings.as_json),
        ("--sample-log", options["sample_log"], "--compare", options["compare"]),
        ("--sample-log", options["sample_log"], "--no-picture", options["no_picture"]),
        ("--no-picture", options["no_picture"], "--output", options["output"]),
        ("--no-picture", options["no_picture"], "--compare", options["compare"] and not settings.as_json),
    ]
    for one, given, other, also in pairs:
        if given and also:
            raise RecipeError(
                f"{one} and {other} exclude each other", hint=f"leave {other} out", stage="usage"
            )
