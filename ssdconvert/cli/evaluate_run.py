"""What `evaluate` does with its options: reads annotations, runs models, tells how accurate they are."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssdconvert.accuracy.coco_map import METRIC
from ssdconvert.accuracy.data_set import AnnotatedPicture, DataSet, read_data_set
from ssdconvert.accuracy.evaluation import Evaluation, categories_of, evaluation_of
from ssdconvert.accuracy.gate import Expected, Gate, expected_of, judged, names_failed
from ssdconvert.accuracy.predictions import MODELS, Predictions, predictions_in
from ssdconvert.accuracy.result_files import difference, remarks, with_interval, write_results
from ssdconvert.accuracy.run import Tell, header_of, pictures_wanted, run_here, shard_of
from ssdconvert.accuracy.shards import merged
from ssdconvert.accuracy.speeds import refuse_one_alone, speed_words, speeds_of
from ssdconvert.accuracy.subjects import Asked, Subjects, subjects_of
from ssdconvert.cli.fetch_progress import fetch_progress
from ssdconvert.cli.log import echo
from ssdconvert.cli.options import Settings
from ssdconvert.device_config import read_settings
from ssdconvert.devices import Machine, device_name
from ssdconvert.errors import RecipeError
from ssdconvert.label_files import read_labels
from ssdconvert.speed.writing import write

if TYPE_CHECKING:
    from ssdconvert.catalog import Catalog
    from ssdconvert.fetching.options import FetchOptions
    from ssdconvert.speed.result import Comparison

WHOLE = "predictions.jsonl"
LINE_EVERY = 60.0  # seconds, where there is no bar


def run_evaluate(
    model: str, catalog: "Catalog", fetching: "FetchOptions", settings: Settings, options: dict[str, Any]
) -> int:
    """Evaluate what MODEL stands for; return the exit code."""
    _expected(options)  # one that cannot be read is told before anything runs
    shard = shard_of(options["shard"]) if options["shard"] else None
    data = read_data_set(options["annotations"], options["images"], options["allow_missing"])
    subjects = _subjects(model, catalog, fetching, settings, options)
    if options["speed"]:
        refuse_one_alone(subjects)
    header = header_of(subjects, data, shard, lambda told: settings.progress(f"warning: {told}"))
    categories_of(header, data, options["allow_unmapped"])  # what does not map is told before anything runs
    _refuse_drop_without_original(header, options)
    pictures = pictures_wanted(data, header["unannotated"])
    pictures = shard.of(pictures) if shard else pictures
    folder = options["output"] or Path("evaluation") / subjects.name
    path = folder / (shard.file if shard else WHOLE)

    def on_wait() -> None:
        settings.progress(f"waiting: another process writes {path}")

    with predictions_in(path, header, on_wait) as predictions:
        _run(subjects, pictures, predictions, settings, options)
    if shard:
        told = f"shard {shard.number} of {shard.count}: {len(pictures)} pictures in {path}"
        settings.result(
            told, {"shard": [shard.number, shard.count], "pictures": len(pictures), "output": str(path)}
        )
        return 0
    names = [subject.name for subject in subjects.models]
    comparison = speeds_of(subjects, pictures[0]) if options["speed"] else None
    return _concluded(predictions, names, data, folder, settings, options, comparison)


def run_merge(paths: Sequence[Path], settings: Settings, options: dict[str, Any]) -> int:
    """Evaluate what the files of all shards hold; return the exit code."""
    data = read_data_set(options["annotations"], options["images"], options["allow_missing"])
    predictions = merged(paths, data)
    _refuse_drop_without_original(predictions.header, options)
    folder = options["output"] or Path("evaluation") / predictions.header["name"]
    return _concluded(predictions, list(predictions.header[MODELS]), data, folder, settings, options)


def _refuse_drop_without_original(header: Mapping[str, Any], options: dict[str, Any]) -> None:
    """Raise RecipeError where --max-drop has nothing to compare with."""
    if options["max_drop"] is not None and not any(one["original"] for one in header[MODELS].values()):
        raise RecipeError(
            f"--max-drop needs the original, and {', '.join(header[MODELS])} has none",
            hint="give the build, without --no-original",
            stage="usage",
        )


def _subjects(
    model: str, catalog: "Catalog", fetching: "FetchOptions", settings: Settings, options: dict[str, Any]
) -> Subjects:
    device = str(device_name(options["device"]))
    machine = Machine(device, options["extensions"], read_settings(options["device_config"], device))
    labels = read_labels(options["labels"]) if options["labels"] else None
    asked = Asked(options["precisions"], not options["no_original"], options["recipe"], labels, machine)
    with fetch_progress(settings) as tell:
        return subjects_of(model, catalog, replace(fetching, tell=tell), asked)


def _expected(options: dict[str, Any]) -> Expected | None:
    return expected_of(options["expect"]) if options["expect"] else None


def _run(
    subjects: Subjects,
    pictures: Sequence[AnnotatedPicture],
    predictions: Predictions,
    settings: Settings,
    options: dict[str, Any],
) -> None:
    """Run what is left to run, and tell how fast that was."""
    if predictions.told:
        settings.progress(predictions.told)
    left = sum(len(predictions.missing(subject.name, pictures)) for subject in subjects.models)
    total = len(pictures) * len(subjects.models)
    if 0 < left < total:
        settings.progress(f"goes on: {total - left} of {total} are there")
    started = time.monotonic()
    with _bar(left, settings) as tell:
        if options["scheduler"]:
            from ssdconvert.accuracy.cluster import run_on_cluster

            run_on_cluster(options["scheduler"], subjects, pictures, predictions, tell)
        else:
            run_here(subjects, pictures, predictions, options["jobs"], tell)
    seconds = time.monotonic() - started
    if left:
        settings.progress(f"{left} pictures in {seconds:.1f} s, {left / seconds:.1f} pictures/s")


def _concluded(
    predictions: Predictions,
    names: Sequence[str],
    data: DataSet,
    folder: Path,
    settings: Settings,
    options: dict[str, Any],
    comparison: "Comparison | None" = None,
) -> int:
    """Write and tell what follows from the predictions; return the exit code."""
    mapped = categories_of(predictions.header, data, options["allow_unmapped"])
    evaluation = evaluation_of(predictions, names, data, mapped, options["draws"], options["seed"])
    gate = judged(evaluation, _expected(options), options["max_drop"], options["strict"])
    speeds = speed_words(comparison) if comparison else {}
    written = write_results(evaluation, gate, folder, speeds)
    document = {**evaluation.to_json(), **gate.to_json(), "output": str(folder)}
    if comparison:
        written += write(comparison, folder)
        document["speed"] = comparison.to_json()
        for warning in comparison.warnings:
            settings.progress(f"{click.style('warning', fg='yellow')}: {warning}")
    settings.result(evaluation_text(evaluation, gate, written, speeds), document)
    if gate.passed:
        return 0
    if not settings.as_json:
        for told in names_failed(gate):
            echo(f"error[evaluate]: {told}", err=True)
    return 1


def evaluation_text(
    evaluation: Evaluation, gate: Gate, written: Sequence[Path], speeds: Mapping[str, str]
) -> str:
    """Return the result as text: a line for each model, what was left out, what was asked for."""
    head, *others = remarks(evaluation)
    rows = []
    for one in evaluation.models:
        against = f"{difference(one)} points of the original" if one.difference else ""
        parts = (f"AP {with_interval(one, 'ap')}", f"AP50 {with_interval(one, 'ap50')}")
        rows.append(
            (one.name, f"{one.entry['bytes'] / 1e6:.2f} MB", *parts, against, speeds.get(one.name, ""))
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"{evaluation.header['name']}: {METRIC}, {head}", *(f"  {told}" for told in others)]
    lines += [
        "  " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines += [f"  {told}" for told in gate.told]
    return "\n".join([*lines, f"  written: {', '.join(str(path) for path in written)}"])


@contextmanager
def _bar(total: int, settings: Settings) -> Iterator[Tell]:
    """Give what moves a bar on a terminal's stderr on by one; elsewhere a line a minute."""
    if not total or settings.quiet or settings.log_json or not sys.stderr.isatty():
        yield _lines(total, settings)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, no_color=settings.color is False)
    columns = (TextColumn("  {task.description}", markup=False), BarColumn(30), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, redirect_stdout=False
    ) as bar:
        task = bar.add_task("pictures", total=total)
        yield lambda line: bar.update(task, advance=1, description=f"pictures, {line.key[0]}")


def _lines(total: int, settings: Settings) -> Tell:
    done, last = 0, time.monotonic()

    def tell(_: object) -> None:
        nonlocal done, last
        done += 1
        if time.monotonic() - last > LINE_EVERY:
            last = time.monotonic()
            settings.progress(f"  {done} of {total} pictures")

    return tell
