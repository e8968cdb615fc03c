"""`evaluate`: the mean average precision of models on annotated pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssdconvert.cli.options import (
    Settings,
    fetch_options,
    output_options,
    recipe_options,
    settings_options,
)
from ssdconvert.errors import RecipeError

if TYPE_CHECKING:
    from ssdconvert.catalog import Catalog
    from ssdconvert.fetching.options import FetchOptions

MERGE = "merge"
FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("evaluate", short_help="Mean average precision on annotated pictures.")
@click.argument("arguments", metavar="NAME|MODEL|merge [SHARD]...", nargs=-1)
@click.option(
    "--annotations",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE|DIR",
    help="COCO's instances (.json), a folder of VOC's XML files, or a list of its ImageSets/Main (.txt).",
)
@click.option(
    "--images", type=FOLDER, metavar="DIR", help="The pictures.  [default: where COCO and VOC have them]"
)
@click.option("--recipe", help="Recipe that says how a MODEL file is fed and read.")
@click.option(
    "--labels", metavar="FILE|LIST", help="Names of the classes: a file, or coco-80, coco-91, voc-20."
)
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(["FP32", "FP16", "INT8"], case_sensitive=False),
    multiple=True,
    help="Of a build; repeatable.  [default: all that are built]",
)
@click.option("--no-original", is_flag=True, help="Leave out the original of a build.")
@click.option("-d", "--device", default="CPU", show_default=True, help="OpenVINO device.")
@settings_options
@click.option(
    "-j", "--jobs", type=click.IntRange(1), help="Pictures at once; changes no result.  [default: the cores]"
)
@click.option("--allow-missing", is_flag=True, help="Leave out pictures that are not there.")
@click.option("--allow-unmapped", is_flag=True, help="Leave out categories and labels without a counterpart.")
@click.option("--strict", is_flag=True, help="Exit with 1 where a picture is missing or broken.")
@click.option("--expect", metavar="AP±TOLERANCE", help="Exit with 1 where AP is not in 0.196±0.003, or +-.")
@click.option(
    "--max-drop",
    type=click.FloatRange(0),
    metavar="POINTS",
    help="Exit with 1 where AP is more points below the original's.",
)
@click.option(
    "--draws",
    type=click.IntRange(0),
    default=1000,
    show_default=True,
    help="Of the bootstrap; 0: no intervals.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the bootstrap.")
@click.option(
    "--speed", is_flag=True, help="Measure latencies of the precisions, too: bench.json, and in the table."
)
@click.option("--shard", metavar="K/N", help="Only part K of N of the pictures, for `merge`.")
@click.option(
    "--scheduler", metavar="ADDRESS", help="Run on the workers of a Dask scheduler, tcp://HOST:PORT."
)
@click.option("--output", type=FOLDER, metavar="DIR", help="Where results go.  [default: evaluation/NAME]")
@fetch_options
@recipe_options
@output_options
def evaluate_command(
    arguments: tuple[str, ...],
    catalog: "Catalog",
    fetching: "FetchOptions",
    settings: Settings,
    **options: Any,
) -> int:
    """Measure COCO's mean average precision, by pycocotools.

    Of a recipe's NAME or a build's folder: every precision that is built, and the original in its own engine, with the
    difference. MODEL is an .xml or .onnx alone. A run that is killed goes on where it ended. `merge` puts the files of
    all shards together.
    """
    from ssdconvert.cli.evaluate_run import run_evaluate, run_merge

    if not arguments:
        raise click.UsageError("Missing argument 'NAME|MODEL|merge'.")
    _refuse_together(arguments, options)
    if arguments[0] == MERGE:
        return run_merge([Path(path) for path in arguments[1:]], settings, options)
    return run_evaluate(arguments[0], catalog, fetching, settings, options)


def _refuse_together(arguments: tuple[str, ...], options: dict[str, Any]) -> None:
    """Raise RecipeError for what does not go together, or says nothing."""
    merge = arguments[0] == MERGE
    for name in ("expect", "shard", "scheduler"):
        if options[name] == "":  # a variable of a script that is not set must not take a gate away
            raise RecipeError(f"--{name} is empty", hint="give it a value, or leave it out", stage="usage")
    if not merge and len(arguments) > 1:
        raise click.UsageError(f"Got unexpected extra argument ({arguments[1]})")
    if merge and len(arguments) == 1:
        raise click.UsageError("Missing argument 'SHARD...': the files that --shard wrote.")
    pairs = [
        ("merge", merge, "--shard", options["shard"]),
        ("merge", merge, "--scheduler", options["scheduler"]),
        ("merge", merge, "--precision", options["precisions"]),
        ("merge", merge, "--no-original", options["no_original"]),
        ("merge", merge, "--recipe", options["recipe"]),
        ("merge", merge, "--labels", options["labels"]),
        ("merge", merge, "--jobs", options["jobs"]),
        ("--no-original", options["no_original"], "--max-drop", options["max_drop"] is not None),
        ("--shard", options["shard"], "--expect", options["expect"]),
        ("--shard", options["shard"], "--max-drop", options["max_drop"] is not None),
        ("merge", merge, "--speed", options["speed"]),
        ("--shard", options["shard"], "--speed", options["speed"]),
        ("--shard", options["shard"], "--strict", options["strict"]),
        ("--shard", options["shard"], "--scheduler", options["scheduler"]),
        ("--scheduler", options["scheduler"], "--jobs", options["jobs"]),
    ]
    for one, given, other, also in pairs:
        if given and also:
            raise RecipeError(
                f"{one} and {other} exclude each other", hint=f"leave {other} out", stage="usage"
            )
