"""`verify`: the gate, on a build that is there or is made for it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssdconvert.api import machines_asked_for, named_devices, refuse_build_options, refuse_file, verify_files
from ssdconvert.cli.build import raise_unless_right, run_recipe
from ssdconvert.cli.options import (
    Settings,
    bake_option,
    converter_option,
    device_option,
    fetch_options,
    output_folder_option,
    output_options,
    recipe_options,
    require_device_option,
    settings_options,
    stand_in_option,
    tail_option,
    toolchain_option,
)

if TYPE_CHECKING:
    from ssdconvert.catalog import Catalog
    from ssdconvert.report.result import Verification


@click.command("verify", short_help="The gate: is the IR still the model?")
@click.argument("model")
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    help="The original file: MODEL is then a file too, ONNX or IR, and nothing is built.",
)
@click.option(
    "--recipe",
    help="With --against: how both files are fed, and the limits.  [default: both get the same numbers]",
)
@click.option(
    "--image",
    "images",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A picture, or a folder of pictures, to compare on beside the recipe's; repeatable.",
)
@click.option(
    "--trace",
    is_flag=True,
    help="Compare inner tensors at every hop.  [default: at the first hop whose heads are wrong]",
)
@output_folder_option
@device_option
@require_device_option
@toolchain_option
@tail_option
@settings_options
@converter_option
@bake_option
@stand_in_option
@fetch_options
@recipe_options
@output_options
def verify_command(
    model: str,
    against: Path | None,
    recipe: str | None,
    catalog: "Catalog",
    settings: Settings,
    **options: Any,
) -> None:
    """Compare the IRs of a recipe with the original, always anew; build first what is not up to date.

    MODEL is the recipe's name or file. With --against it is a file that is compared with another one, and a report
    is written only where --output says. Exits with 1 when the model is wrong or could not be shown to be right.
    """
    from ssdconvert.cli.render import verification_text
    from ssdconvert.cli.step_summary import append_to_step_summary

    if against is None:
        refuse_file(model, recipe)
        result = run_recipe(catalog.find(model), settings, rerun=("verify",), **options)
        assert result.verification is not None
        verification = result.verification
        report: Path | None = result.output / "report.json"
    else:
        verification = _compared(Path(model), against, recipe, catalog, options)
        report = options["output"] / "report.json" if options["output"] else None
    settings.result(verification_text(verification), verification.to_json())
    append_to_step_summary([verification], settings)
    raise_unless_right([(verification, report)], settings)


def _compared(
    model: Path, against: Path, recipe: str | None, catalog: "Catalog", options: dict[str, Any]
) -> "Verification":
    refuse_build_options(*(options[key] for key in ("tail", "converter", "bake", "stand_in")))
    entry = catalog.find(recipe) if recipe is not None else None
    return verify_files(
        model,
        against,
        entry,
        options["images"],
        machines_asked_for(*(options[key] for key in ("devices", "required", "device_config", "extensions"))),
        named_devices(options["required"]),
        options["trace"],
        options["output"],
        options["toolchains"],
    )
