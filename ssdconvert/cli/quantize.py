"""`quantize`: a build with an INT8 IR beside those of its recipe."""

from typing import TYPE_CHECKING, Any

import click

from ssdconvert.cli.build import raise_unless_right, run_recipe
from ssdconvert.cli.options import (
    Settings,
    calibration_options,
    device_option,
    fetch_options,
    output_folder_option,
    output_options,
    recipe_options,
    require_device_option,
    settings_options,
    stand_in_option,
    tail_option,
)
from ssdconvert.errors import RecipeError

if TYPE_CHECKING:
    from ssdconvert.catalog import Catalog


@click.command("quantize", short_help="An INT8 IR beside FP32, through the same gate.")
@click.argument("name")
@calibration_options
@output_folder_option
@tail_option
@device_option
@require_device_option
@settings_options
@stand_in_option
@fetch_options
@recipe_options
@output_options
def quantize_command(name: str, catalog: "Catalog", settings: Settings, **options: Any) -> None:
    """Quantise a recipe's IR to 8 bits by NNCF, measure what that costs, and verify it with the others.

    The same as `build` with the recipe's precisions and INT8; what is up to date stays. Exits with 1 when it costs
    more than --max-drop, or when the gate rejects it.
    """
    from ssdconvert.build_plan import offered
    from ssdconvert.cli.render import build_text
    from ssdconvert.cli.step_summary import append_to_step_summary
    from ssdconvert.recipe_source import IrSource

    entry = catalog.find(name)
    if isinstance(entry.recipe.source, IrSource):
        raise RecipeError(
            f"{entry.recipe.name} is a ready IR, which is taken as it is and never quantised",
            hint="`ssdconvert build --precision INT8` takes the INT8 that is published, if there is one",
            stage="quantize",
        )
    if offered(entry.recipe) == ("INT8",):
        raise RecipeError(
            f"{entry.recipe.name} is quantised already",
            hint=f"`ssdconvert build {entry.recipe.name}` converts it as it is",
            stage="quantize",
        )
    precisions = tuple(dict.fromkeys((*entry.recipe.precisions, "INT8")))
    result = run_recipe(entry, settings, precisions=precisions, **options)
    settings.result(build_text(result), result.to_json())
    append_to_step_summary([result.verification], settings)
    raise_unless_right([(result.verification, result.output / "report.json")], settings)
