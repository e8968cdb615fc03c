"""`bench`: latency and throughput, beside ONNX Runtime and the original."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssdconvert.cli.mirror import checked_mirror
from ssdconvert.cli.options import (
    Settings,
    cache_option,
    device_option,
    output_options,
    precision_option,
    recipe_options,
    settings_options,
)
from ssdconvert.errors import SsdconvertError

if TYPE_CHECKING:
    from ssdconvert.catalog import Catalog
    from ssdconvert.speed import Comparison


@click.command("bench", short_help="Latency and throughput, beside ONNX Runtime and the original.")
@click.argument("model")
@click.option(
    "--hint", type=click.Choice(["latency", "throughput"]), default="latency", show_default=True,
    help="One picture at a time, as soon as may be; or several at once, as many as may be.",
)  # fmt: skip
@device_option
@precision_option
@click.option(
    "--engine", "engines", type=click.Choice(["openvino", "onnxruntime", "original"]), multiple=True,
    help="What takes part; repeatable.  [default: all that are there]",
)  # fmt: skip
@click.option(
    "--against", type=click.Path(path_type=Path), multiple=True,
    help="A file that takes part too: an .onnx in ONNX Runtime, an .xml in OpenVINO; repeatable.",
)  # fmt: skip
@click.option("--recipe", "recipe_name", help="Recipe that says how MODEL is fed, and what its original is.")
@click.option(
    "--image", type=click.Path(path_type=Path),
    help="The picture that everything is fed.  [default: the recipe's first]",
)  # fmt: skip
@click.option(
    "--seconds", type=float, default=10.0, show_default=True,
    help="How long each is timed, all rounds together.",
)  # fmt: skip
@click.option(
    "--rounds", type=click.IntRange(1, 1000), default=10, show_default=True,
    help="In how many turns; fewer where one inference takes longer than a turn.",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(1, 1024), help="Of each engine.  [default: as many as OpenVINO takes]"
)
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder for bench.json and bench.md."
)
@settings_options
@click.option(
    "--mirror", callback=checked_mirror, envvar="SSDCONVERT_MIRROR", metavar="DIR|URL",
    help="Folder that holds RECIPE/FILE, where the original is looked for beside the cache.",
)  # fmt: skip
@cache_option
@recipe_options
@output_options
def bench_command(model: str, catalog: "Catalog", settings: Settings, **options: Any) -> None:
    """Measure how fast MODEL is, in turn with the same network in other engines.

    MODEL is a recipe's name, whose build in build/NAME is used with all its precisions, the folder of a build, an .xml
    or an .onnx. Beside its IRs in OpenVINO run the build's ONNX graph in ONNX Runtime and, where the cache has it,
    the original in its own engine: on the same picture, with the same number of threads, in the same minutes.
    """
    from ssdconvert.speed.writing import write
    from ssdconvert.workspace import make_folder

    if options["output"]:
        make_folder(options["output"])
    try:
        comparison = _measured(model, catalog, settings, options)
    except SsdconvertError as error:
        if error.stage == "detect":  # which finds and feeds models in the same way
            error.stage = "bench"
        raise
    for warning in comparison.warnings:
        settings.progress(f"{click.style('warning', fg='yellow')}: {warning}")
    text = _text(comparison)
    if options["output"]:
        files = write(comparison, options["output"])
        text = "\n".join([text, *(f"written: {file}" for file in files)])
    settings.result(text, comparison.to_json())


def _measured(model: str, catalog: "Catalog", settings: Settings, options: dict[str, Any]) -> "Comparison":
    from dataclasses import replace

    from ssdconvert.api import machines_asked_for
    from ssdconvert.device_config import told_of
    from ssdconvert.fetching.options import FetchOptions
    from ssdconvert.runners.openvino_core import extensions_in_use
    from ssdconvert.speed.comparison import compare, refuse_nothing
    from ssdconvert.speed.given import Asked, contenders_of, refuse_hints

    refuse_nothing(options["seconds"], options["rounds"])
    machines = machines_asked_for(options["devices"], (), options["device_config"], options["extensions"])
    refuse_hints(machines)
    asked = Asked(
        machines, options["precisions"], options["engines"], options["against"], options["recipe_name"],
        options["image"],
    )  # fmt: skip
    fetching = FetchOptions(options["cache"], options["mirror"], offline=True)
    with extensions_in_use(options["extensions"]), _bar(settings) as advance:
        given = contenders_of(model, catalog, asked, fetching)
        comparison = compare(
            given.contenders, options["hint"], options["seconds"], options["rounds"], options["threads"],
            advance, given.skipped,
        )  # fmt: skip
    return replace(
        comparison, model=given.model, picture=given.picture, stand_in=given.stand_in,
        settings=told_of(machines)["settings"],
    )  # fmt: skip


def _text(comparison: "Comparison") -> str:
    """Return the comparison as text for people."""
    from ssdconvert.speed import tables

    lines = [tables.measured_text(comparison), tables.load_text(comparison)]
    if comparison.stand_in:
        lines.append("STAND-IN: the weights come from a seed and detect nothing real; do not deploy it")
    lines += ["", *_aligned(tables.times_table(comparison), "latency, ms")]
    if len(comparison.rows) > 1:
        lines += ["", *_aligned(tables.ratios_table(comparison), "times as fast"), tables.legend(comparison)]
    lines += ["", *(f"{row.name}: {tables.runs_text(row)}" for row in comparison.rows)]
    lines += [f"{one.name} was left out: {one.reason}" for one in comparison.skipped]
    return "\n".join(lines)


def _aligned(table: list[list[str]], title: str) -> list[str]:
    """Return a table as lines, its first column to the left, others to the right."""
    table = [[title, *table[0][1:]], *table[1:]]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]


@contextmanager
def _bar(settings: Settings) -> Iterator[Callable[[int, int], None]]:
    """Give what tells how many rounds are done: as a bar where stderr is a terminal, else not at all."""
    if settings.quiet or settings.log_json or not sys.stderr.isatty():
        yield lambda done, rounds: None
        return
    with click.progressbar(
        length=1000, file=sys.stderr, label="rounds", show_percent=True, color=settings.color
    ) as bar:
        yield lambda done, rounds: bar.update(1000 * done // rounds - bar.pos)
