"""`verify`: the gate, on a build that is there or is made for it."""

from typing import TYPE_CHECKING, Any

import click

from ssdconvert.cli.build import raise_unless_right, run_recipe
from ssdconvert.cli.options import (
    Settings,
    device_option,
    fetch_options,
    output_folder_option,
    output_options,
    recipe_options,
    require_device_option,
    stand_in_option,
)

if TYPE_CHECKING:
    from ssdconvert.catalog import Catalog


@click.command("verify", short_help="The gate: is the IR still the model?")
@click.argument("name")
@click.option(
    "--trace",
    is_flag=True,
    help="Compare inner tensors at every hop.  [default: at the first hop whose heads are wrong]",
)
@output_folder_option
@device_option
@require_device_option
@stand_in_option
@fetch_options
@recipe_options
@output_options
def verify_command(name: str, catalog: "Catalog", settings: Settings, **options: Any) -> None:
    """Compare the IRs of a recipe with the original, always anew; build first what is not up to date.

    Exits with 1 when the model is wrong or could not be shown to be right.
    """
    from ssdconvert.cli.render import verification_text
    from ssdconvert.cli.step_summary import append_to_step_summary

    result = run_recipe(catalog.find(name), settings, rerun=("verify",), **options)
    assert result.verification is not None
    settings.result(verification_text(result.verification), result.verification.to_json())
    append_to_step_summary([result.verification], settings)
    raise_unless_right([result], settings)
