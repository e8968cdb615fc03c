"""The model card of a release, README.md: the original and the converted model, in the layout of Open Model Zoo."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ssdconvert.recipe import Recipe
from ssdconvert.recipe_rows import rows
from ssdconvert.release.names import LABELS, LICENCE, MANIFEST, REPORT
from ssdconvert.release.provenance import asked_for
from ssdconvert.report.result import SHIPPED, Check, Verification, describe
from ssdconvert.report.words import limit_text, measured, value_text, worst_checks

INPUT = ("input", "colour", "values", "mean", "scale", "resize")
OUTPUT = ("outputs", "boxes", "labels", "", "detections")


def model_card(
    manifest: Mapping[str, Any], recipe: Recipe, verification: Verification, files: Sequence[str]
) -> str:
    """Return the card of a model; `files` are the paths in its release."""
    asked = asked_for(manifest)
    table = [*rows(recipe, asked["tail"] or "nms", asked["bake"])]
    lines = [
        f"# {recipe.name}",
        "",
        "## Use case and high-level description",
        "",
        f"{recipe.title}. It detects {_classes(recipe)} in pictures." + _home(recipe),
        "",
        *_bullets(recipe.notes),
        "## Specification",
        "",
        *_table(("metric", "value"), _specification(manifest, recipe)),
        "## Accuracy of the original",
        "",
        *_accuracy(recipe),
        "## Input",
        "",
        *_both(table, INPUT),
        "## Output",
        "",
        *_both(table, OUTPUT),
        *_verified(manifest, verification),
        "## Files",
        "",
        *_bullets([f"`{path}`" for path in files]),
        f"`ssdconvert check` of this folder, or of its archive, holds each of them against `{MANIFEST}`; `sha256sum "
        "--check SHA256SUMS` does without ssdconvert.",
        "",
        "## Legal information",
        "",
        f"The licence of the weights, as their recipe names it, is {recipe.licence}: see [{LICENCE}]({LICENCE}).",
    ]
    return "\n".join(lines) + "\n"


def _classes(recipe: Recipe) -> str:
    names = recipe.class_names
    return ", ".join(names) if len(names) <= 7 else f"{len(names)} classes ({LABELS} names them)"


def _home(recipe: Recipe) -> str:
    return f" The original is at home at <{recipe.homepage}>." if recipe.homepage else ""


def _specification(manifest: Mapping[str, Any], recipe: Recipe) -> Iterator[tuple[str, str]]:
    yield "type", "detection"
    yield (
        "classes",
        f"{len(recipe.class_names)}, and the background"
        if recipe.detections.first_label
        else str(len(recipe.class_names)),
    )
    for entry in manifest["artifacts"]:
        if entry["path"].endswith(".bin"):
            yield f"weights of `{entry['path']}`", f"{entry['bytes'] / 1e6:.1f} MB"
    for source in manifest["sources"]:
        yield f"original, `{source['name']}`", f"{source['bytes']} bytes, sha256 {source['sha256']}"


def _accuracy(recipe: Recipe) -> list[str]:
    if not recipe.accuracy:
        return ["Its recipe names none.", ""]
    rows_ = [(one.metric, f"{one.value:g}", one.by, one.source) for one in recipe.accuracy]
    return _table(("metric", "value", "by", "source"), rows_)


def _both(table: Sequence[tuple[str, str, str]], names: Sequence[str]) -> Iterator[str]:
    """Yield the rows of these names, of the original model and then of the converted one."""
    for title, column in (("Original model", 1), ("Converted model", 2)):
        yield f"### {title}"
        yield ""
        told = [(row[0], row[column]) for row in table if row[0] in names and row[column]]
        yield from (f"* {name}: {cell}" if name else f"* {cell}" for name, cell in told)
        yield ""


def _verified(manifest: Mapping[str, Any], verification: Verification) -> list[str]:
    listed = {entry["precision"] for entry in manifest["artifacts"]}
    shown = [
        check
        for check in worst_checks(verification.checks)
        if check.hop in SHIPPED and check.precision in listed and check.level in ("heads", "detections")
    ]
    return [
        "## Verification",
        "",
        f"Verdict: **{verification.verdict}**. The reference is the original in {verification.reference}, "
        f"on {len(verification.pictures)} pictures; `{REPORT}` and `report.html` have every number.",
        "",
        *_table(("file", "measured", "worst value", "limit"), [_measurement(check) for check in shown]),
    ]


def _measurement(check: Check) -> tuple[str, ...]:
    return describe(check.candidate), measured(check), value_text(check), limit_text(check)


def _bullets(texts: Sequence[str]) -> list[str]:
    return [*(f"* {text}" for text in texts), *([""] if texts else [])]


def _table(titles: Sequence[str], cells: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> list[str]:
    lines = [titles, ["---"] * len(titles), *cells]
    return [*("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines), ""]
