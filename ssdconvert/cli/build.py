"""`build`, `export`, `convert`: run the stages of recipes, up to the end or up to one of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssdconvert.api import machines_asked_for, named_devices
from ssdconvert.cli.fetch_progress import fetch_progress
from ssdconvert.cli.options import (
    Settings,
    bake_option,
    calibration_options,
    converter_option,
    device_option,
    fetch_options,
    output_folder_option,
    output_options,
    precision_option,
    recipe_options,
    require_device_option,
    settings_options,
    stand_in_option,
    tail_option,
    toolchain_option,
)
from ssdconvert.errors import RecipeError, SsdconvertError, WrongModel
from ssdconvert.quantisation.options import AS_USUAL, CalibrationOptions

if TYPE_CHECKING:
    from ssdconvert.build_result import BuildResult
    from ssdconvert.build_worker import Job
    from ssdconvert.catalog import Catalog, CatalogEntry
    from ssdconvert.fetching.options import FetchOptions
    from ssdconvert.report.result import Verification


@click.command("build", short_help="Everything, from fetch to manifest; skips what is up to date.")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "-j", "--jobs", type=click.IntRange(1), default=1, show_default=True,
    help="Recipes at once, each on its share of the cores.",
)  # fmt: skip
@click.option(
    "--no-verify", "verify", is_flag=True, default=True, flag_value=False,
    help="End at the IR: nothing is proven, and no report is written.",
)  # fmt: skip
@click.option("--profile", is_flag=True, help="Tell what each stage took: time, CPU time, memory.")
@output_folder_option
@precision_option
@calibration_options
@tail_option
@converter_option
@bake_option
@device_option
@require_device_option
@toolchain_option
@settings_options
@stand_in_option
@fetch_options
@recipe_options
@output_options
def build_command(
    names: Sequence[str], jobs: int, catalog: "Catalog", settings: Settings, **options: Any
) -> None:
    """Fetch, export, simplify, convert, verify, detect, report: what is not up to date already.

    NAME is a recipe's name (see `ssdconvert list`) or the path of a recipe file.
    """
    entries = catalog.find_all(names)  # a name that does not exist is told before any build
    outcomes = _outcomes(entries, jobs, settings, **options)
    errors = [outcome for outcome in outcomes if isinstance(outcome, SsdconvertError)]
    results = [outcome for outcome in outcomes if not isinstance(outcome, SsdconvertError)]
    from ssdconvert.cli.render import build_text, profile_text
    from ssdconvert.cli.step_summary import append_to_step_summary

    for result in results:
        if result.profile:
            settings.event(
                "profile", profile_text(result), {"recipe": result.recipe, "profile": result.profile}
            )
    documents = [result.to_json() for result in results] + [error.to_json() for error in errors]
    text = "\n".join(build_text(result) for result in results)
    settings.result(text, documents[0] if len(entries) == 1 else documents)
    append_to_step_summary([result.verification for result in results], settings)
    raise_unless_right([(r.verification, r.output / "report.json") for r in results], settings)
    if errors and settings.as_json:
        click.get_current_context().exit(errors[0].exit_code)
    if errors:
        raise errors[0]


def _outcomes(
    entries: "Sequence[CatalogEntry]", jobs: int, settings: Settings, **options: Any
) -> "list[BuildResult | SsdconvertError]":
    """Build recipes, and return what became of each; a failure is raised where there is one recipe."""
    many = len(entries) > 1
    if many and jobs > 1:
        from ssdconvert.build_pool import useful_workers
        from ssdconvert.cli.build_at_once import build_at_once

        if (workers := useful_workers(jobs, len(entries))) > 1:
            planned = [_job_or_failure(entry, many=many, **options) for entry in entries]
            return build_at_once(planned, workers, settings)
    outcomes: list[BuildResult | SsdconvertError] = []
    for entry in entries:
        try:
            outcomes.append(run_recipe(entry, settings, many=many, **options))
        except SsdconvertError as error:
            if not many:
                raise
            settings.progress(f"error[{error.stage}]: {error.message}")
            outcomes.append(error)
    return outcomes


def _job_or_failure(entry: "CatalogEntry", **options: Any) -> "Job | SsdconvertError":
    try:
        return build_job(entry, **options)
    except SsdconvertError as error:
        return error


@click.command("export", short_help="The ONNX graph of a recipe.")
@click.argument("name")
@output_folder_option
@tail_option
@stand_in_option
@fetch_options
@recipe_options
@output_options
def export_command(name: str, catalog: "Catalog", settings: Settings, **options: Any) -> None:
    """Make the ONNX graph of a recipe: heads, decoding, NMS; simplified and proven equal.

    It ends in the heads with --tail heads, and with --tail detection-output, which ONNX has no operator for.
    """
    result = run_recipe(catalog.find(name), settings, until="simplify", **options)
    settings.result(f"{result.output / f'{result.recipe}.onnx'}", result.to_json())


@click.command("convert", short_help="The IR of a recipe, not verified.")
@click.argument("name")
@output_folder_option
@precision_option
@tail_option
@converter_option
@bake_option
@stand_in_option
@fetch_options
@recipe_options
@output_options
def convert_command(name: str, catalog: "Catalog", settings: Settings, **options: Any) -> None:
    """Make the IR of a recipe, without verifying it."""
    result = run_recipe(catalog.find(name), settings, until="convert", **options)
    paths = [
        str(result.output / entry["path"]) for entry in result.artefacts if entry["path"].endswith(".xml")
    ]
    settings.result("\n".join([*paths, "not verified: run `ssdconvert verify`"]), result.to_json())


def run_recipe(entry: "CatalogEntry", settings: Settings, **options: Any) -> "BuildResult":
    """Run one recipe's stages, telling of each on stderr; `options` are those of `build_job`."""
    from ssdconvert.cli.render import stage_line
    from ssdconvert.pipeline import build

    job = build_job(entry, **options)
    name = job.entry.recipe.name
    settings.progress(f"{name}: {job.entry.recipe.title}")
    with fetch_progress(settings) as tell:
        return build(
            job.entry,
            replace(job.options, fetch=replace(job.options.fetch, tell=tell)),
            job.until,
            on_stage=lambda stage: settings.event(
                "stage", stage_line(stage, settings.verbose), {"recipe": name, **stage.to_json()}
            ),
            on_wait=lambda: settings.progress(f"  waiting: another process builds in {job.options.output}"),
        )


def build_job(
    entry: "CatalogEntry",
    fetching: "FetchOptions",
    output: Path | None,
    until: str = "manifest",
    precisions: Sequence[str] = (),
    devices: Sequence[str] = (),
    required: Sequence[str] = (),
    device_config: Sequence[str] = (),
    extensions: Sequence[Path] = (),
    rerun: tuple[str, ...] = (),
    stand_in: bool = False,
    many: bool = False,
    trace: bool = False,
    images: Sequence[Path] = (),
    toolchains: Sequence[str] = (),
    tail: str = "nms",
    converter: str = "mo",
    bake: str = "values",
    verify: bool = True,
    profile: bool = False,
    calibration: CalibrationOptions = AS_USUAL,
) -> "Job":
    """Return what is built of a recipe, and how, as the command line asks for."""
    from ssdconvert.build_result import BuildOptions
    from ssdconvert.build_worker import Job
    from ssdconvert.pictures import named_pictures, pictures_beside

    if many and output is not None:
        raise RecipeError(
            "--output names one folder, and several recipes are given", hint="build them one by one"
        )
    if not verify and (required or toolchains):
        asked = "--require-device" if required else "--toolchain"
        raise RecipeError(
            f"{asked} says where to verify, and --no-verify that nothing is verified",
            hint="leave out one of the two",
        )
    if stand_in:
        entry = entry.stand_in()
    options = BuildOptions(
        output or Path("build") / entry.recipe.name,
        fetching,
        tuple(precision.upper() for precision in precisions) or None,
        machines_asked_for(devices, required, device_config, extensions),
        named_devices(required),
        rerun,
        trace,
        images=pictures_beside(named_pictures(entry), images),
        toolchains=tuple(toolchains),
        tail=tail,
        converter=converter,
        bake=bake,
        verify=verify,
        calibration=calibration,
        profile=profile,
    )
    return Job(entry, options, until)


def raise_unless_right(
    judged: Sequence[tuple["Verification | None", Path | None]], settings: Settings
) -> None:
    """Exit with 1 when a model is not shown to be right; with --json the document has said why.

    `judged` are verifications, each with the path of its report if one was written.
    """
    for verification, report in judged:
        if verification is not None and verification.verdict != "pass":
            error = wrong_model(verification, report)
            if settings.as_json:
                click.get_current_context().exit(error.exit_code)
            raise error


def wrong_model(verification: "Verification", report: Path | None) -> SsdconvertError:
    """Return the failure that a verdict other than `pass` stands for."""
    every = f"{report} has every check" if report else "--output DIR writes a report of every check"
    return WrongModel(
        f"{verification.model} is {verification.verdict}: {verification.reason}",
        hint=f"do not deploy it; {every}",
    )
