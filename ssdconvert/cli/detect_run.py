"""What `detect` does with its options: opens the model, looks at the pictures, tells what was found."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssdconvert.cli.log import echo
from ssdconvert.cli.options import Settings
from ssdconvert.cli.render import found_text, seen_text
from ssdconvert.deployed import Feeding
from ssdconvert.detector import Detector, open_detector
from ssdconvert.device_config import read_settings
from ssdconvert.devices import Machine, device_name
from ssdconvert.errors import RecipeError, SsdconvertError
from ssdconvert.label_files import LabelList, read_labels
from ssdconvert.model_given import expanded, model_given
from ssdconvert.original_given import original_given
from ssdconvert.picture_files import drawn_names, is_ours, outputs_of
from ssdconvert.pictures import pictures_given, shown
from ssdconvert.recipe import STAND_IN
from ssdconvert.sample_log import opening_lines, result_lines
from ssdconvert.stages.detect import Target, Wanted, look

if TYPE_CHECKING:
    from ssdconvert.catalog import Catalog
    from ssdconvert.recipe import Recipe

MOST_LABELS = 10  # without a name that are listed


def run_detect(
    model: str, images: Sequence[str], catalog: "Catalog", settings: Settings, options: dict[str, Any]
) -> int:
    """Look at pictures and tell what was found; return the exit code.

    Of several pictures those that cannot be read are told and passed over; the code is that of their failure.
    """
    path, recipe = model_given(model, catalog, options["recipe_name"], options["precision"])
    labels = read_labels(options["labels"]) if options["labels"] else None
    targets, many = _targets(images, options)
    device = str(device_name(options["device"]))
    machine = Machine(device, options["extensions"], read_settings(options["configurations"], device))
    detector = open_detector(path, recipe, _feeding(options), labels, machine, len(targets) > 1)
    _tell_model(settings, detector, options["sample_log"])
    wanted = _wanted(detector, catalog, recipe, machine, options)
    started = time.monotonic()
    if options["sample_log"]:
        return _sample_log(settings, detector, targets[0], wanted, labels, options)
    documents: list[dict[str, Any]] = []
    texts: list[str] = []
    failures: list[SsdconvertError] = []
    unnamed: set[int] = set()
    count = 0
    with _bar(len(targets), settings) as (advance, covered):
        for target, seen in look(detector, targets, wanted):
            advance()
            if isinstance(seen, SsdconvertError):
                if not many:
                    raise seen
                failures.append(seen)
                documents.append(_failed(path, detector, target, seen))
                continue
            count += len(seen.found)
            unnamed |= {one.label for one in seen.found if one.name == f"label {one.label}"}
            documents.append(seen.to_json(str(path), detector.queue.executed_on))
            text = seen_text(seen) if many else found_text(seen.found, seen.target.output, seen.compared)
            if covered or settings.as_json:
                texts.append(text)
            else:
                settings.result(text, None)
    _warn_unnamed(settings, labels, unnamed)
    if many:
        seconds = time.monotonic() - started
        rate = f"{len(targets)} pictures, {count} detections, {seconds:.1f} s, {len(targets) / seconds:.1f} pictures/s"
        settings.progress(rate)
    if settings.as_json or texts:
        settings.result("\n".join(texts), documents if many else documents[0])
    for failure in failures:
        echo(f"error[{failure.stage}]: {failure.message}", err=True)
    return max((failure.exit_code for failure in failures), default=0)


def _targets(images: Sequence[str], options: dict[str, Any]) -> tuple[list[Target], bool]:
    """Return the pictures and where each is drawn, and whether several were asked for, however many there are."""
    paths = expanded(images)
    pictures = _without_drawings(pictures_given(paths), images)
    many = len(images) > 1 or len(pictures) > 1 or paths != [Path(images[0])] or paths[0].is_dir()
    if many and options["sample_log"]:
        raise RecipeError(
            f"--sample-log takes one picture, as the sample did: {len(pictures)} are given",
            hint="leave --sample-log out, or give one picture",
            stage="usage",
        )
    if options["no_picture"]:
        plain = drawn_names([name for name, _ in pictures], "")
        return [
            Target(name, path, None, own) for (name, path), own in zip(pictures, plain, strict=True)
        ], many
    default = "out.bmp" if options["sample_log"] else "out.png"
    names, files = [name for name, _ in pictures], [path for _, path in pictures]
    outputs = outputs_of(options["output"], default, names, many, files, options["force"])
    plain = drawn_names(names, "")
    places = zip(pictures, outputs, plain, strict=True)
    return [Target(name, path, output, own) for (name, path), output, own in places], many


def _without_drawings(
    pictures: Sequence[tuple[str, Path]], images: Sequence[str]
) -> Sequence[tuple[str, Path]]:
    """Leave out what an earlier run drew into a folder that is looked at again."""
    named = {str(Path(image)) for image in images}
    left = [(name, path) for name, path in pictures if str(path) in named or not is_ours(path)]
    return left or pictures


def _feeding(options: dict[str, Any]) -> Feeding:
    resize = {"mode": "stretch", "library": "opencv"} if options["sample_log"] else {}
    resize |= options["resize"] or {}
    return Feeding(options["channels"], options["mean"], options["scale"], **resize)


def _wanted(
    detector: Detector, catalog: "Catalog", recipe: "Recipe | None", machine: Machine, options: dict[str, Any]
) -> Wanted:
    path = detector.model.facts.path
    wanted = Wanted(options["threshold"], options["top"], options["save_crops"], options["force"])
    if not options["compare"]:
        return wanted
    known = recipe or _recipe_told(detector, catalog)
    finder, names, told = original_given(options["compare"], catalog, known, machine, options["precision"])
    return Wanted(
        wanted.threshold, wanted.top, wanted.crops, wanted.force, finder, names, (told, f"{path} in OpenVINO")
    )


def _recipe_told(detector: Detector, catalog: "Catalog") -> "Recipe | None":
    """Return the recipe that a model says it was made by, None where it says none or nobody has it."""
    name = detector.model.facts.said.get("recipe", "").removesuffix(STAND_IN)
    try:
        return catalog.find(name).recipe if name else None
    except RecipeError:
        return None


def _tell_model(settings: Settings, detector: Detector, quiet: bool) -> None:
    """Say on stderr in which form the model gives detections, and who says how it is fed."""
    model = detector.model
    if not quiet:
        settings.progress(f"{model.facts.path} on {detector.queue.executed_on}: {model.fed}")
        settings.progress(f"reads {model.reading.told}")
    for warning in model.warnings:
        _warn(settings, warning)


def _warn(settings: Settings, warning: str) -> None:
    settings.progress(f"{click.style('warning', fg='yellow')}: {warning}")


def _warn_unnamed(settings: Settings, labels: LabelList | None, unnamed: set[int]) -> None:
    if labels and unnamed:
        listed = ", ".join(str(label) for label in sorted(unnamed)[:MOST_LABELS])
        _warn(settings, f"{labels.origin} has no name for what the model found: label {listed}")


def _sample_log(
    settings: Settings, detector: Detector, target: Target, wanted: Wanted, labels: LabelList | None,
    options: dict[str, Any],
) -> int:  # fmt: skip
    model = detector.model
    files = [one for one in options["configurations"] if Path(one).exists()]
    lines = opening_lines(model.facts.path, options["device"], options["extensions"], files)
    settings.result("\n".join(lines), None)
    ((_, seen),) = look(detector, [target], wanted)
    if isinstance(seen, SsdconvertError):
        raise seen
    assert target.output
    image = shown(target.path)
    lines = result_lines(
        image, seen.size, model, seen.rows, wanted.threshold, target.output, labels is not None
    )
    settings.result("\n".join(lines), None)
    return 0


def _failed(path: Path, detector: Detector, target: Target, error: SsdconvertError) -> dict[str, Any]:
    """Return what takes a picture's place among several that were looked at."""
    place = {"model": str(path), "device": detector.queue.executed_on, "image": shown(target.path)}
    return {**place, "size": None, "output": None, "detections": [], **error.to_json()}


@contextmanager
def _bar(length: int, settings: Settings) -> Iterator[tuple[Any, bool]]:
    """Give what moves a bar on stderr on by one, and whether that bar covers the terminal of stdout."""
    if length < 2 or settings.quiet or not sys.stderr.isatty():
        yield lambda: None, False
        return
    with click.progressbar(
        length=length, file=sys.stderr, label="pictures", show_pos=True, color=settings.color
    ) as bar:
        yield lambda: bar.update(1), sys.stdout.isatty()
