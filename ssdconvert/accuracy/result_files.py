"""Writes what an evaluation found: evaluation.json, evaluation.md, and each model's detections in COCO's form.

Anybody can give the detections to pycocotools, or to another tool that reads COCO's results.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ssdconvert.accuracy.bootstrap import CONFIDENCE, METRICS
from ssdconvert.accuracy.coco_map import METRIC
from ssdconvert.accuracy.data_set import listed
from ssdconvert.accuracy.evaluation import Evaluated, Evaluation
from ssdconvert.accuracy.gate import Gate
from ssdconvert.plain_text import json_text, plain
from ssdconvert.recipe import STAND_IN
from ssdconvert.workspace import write_json, written_atomically

TITLES = ("AP", "AP50", "AP75")


def detections_file(model: str) -> str:
    """Return the name of the file of a model's detections."""
    return f"detections-{model}.json"


def write_results(
    evaluation: Evaluation, gate: Gate, folder: Path, speeds: Mapping[str, str] | None = None
) -> list[Path]:
    """Write every file, each whole or not at all, and return where they are.

    `speeds` are words on the latency of models by name, for evaluation.md alone: they are never the same twice.
    """
    paths = []
    for one in evaluation.models:
        path = folder / detections_file(one.name)
        with written_atomically(path) as temporary:
            rows = ",\n".join(json_text(row) for row in one.results)
            temporary.write_text(f"[\n{rows}\n]\n" if rows else "[]\n", encoding="utf-8")
        paths.append(path)
    document, page = folder / "evaluation.json", folder / "evaluation.md"
    write_json(document, {**evaluation.to_json(), **gate.to_json()})
    with written_atomically(page) as temporary:
        temporary.write_text(to_markdown(evaluation, gate, speeds), encoding="utf-8")
    return [document, page, *paths]


def to_markdown(evaluation: Evaluation, gate: Gate, speeds: Mapping[str, str] | None = None) -> str:
    """Return the page for people: a row for each model, the categories, and what was left out."""
    names = list(evaluation.models[0].accuracy.by_class)
    tools = evaluation.header["tools"]
    columns = [*TITLES, "AP - original, points", *(["latency"] if speeds else []), "small", "medium", "large"]
    titles = ("model", "engine", "MB", *columns)
    drawn = f"the middle {CONFIDENCE:.0%} of {evaluation.draws} draws of as many pictures, with replacement"
    lines = [
        f"# {evaluation.header['name']}: {METRIC}",
        "",
        *(f"* {told}" for told in (*remarks(evaluation), *gate.told)),
        "",
        *table([titles]),
        *table([_row(one, tools, speeds) for one in evaluation.models], title=False),
        "",
        *([f"In brackets: {drawn}.", ""] if evaluation.draws else []),
        *table([("category", *(one.name for one in evaluation.models))]),
        *table(
            [(name, *(number(one.accuracy.by_class[name]) for one in evaluation.models)) for name in names],
            title=False,
        ),
    ]
    return plain("\n".join(lines)) + "\n"


def remarks(evaluation: Evaluation) -> list[str]:
    """Return in words what was evaluated and what was left out of it."""
    data, header = evaluation.data, evaluation.header
    bare = len(data.document["images"]) - len(data.annotated)
    told = [f"{len(evaluation.pictures)} pictures, {len(evaluation.mapped.ids)} categories"]
    if (header["recipe"] or {}).get("name", "").endswith(STAND_IN):
        told.append("STAND-IN: the weights come from a seed and detect nothing real; do not deploy it")
    if bare:
        how = "left out of the mean" if header["unannotated"] == "skip" else "what is found there is wrong"
        told.append(f"{bare} pictures without annotations: {how}")
    if data.missing:
        told.append(f"{len(data.missing)} pictures missing: {listed(data.missing)}")
    if evaluation.broken:
        names = [f"{name} ({why})" for name, why in evaluation.broken]
        told.append(f"{len(names)} pictures broken, left out of the mean: {listed(names)}")
    if evaluation.resized:
        sizes = [f"{name} {one[0]}x{one[1]}, here {two[0]}x{two[1]}" for name, one, two in evaluation.resized]
        told.append(f"{len(sizes)} pictures of another size than annotated, boxes scaled: {listed(sizes)}")
    if evaluation.mapped.categories:
        told.append(
            f"categories without a label, left out of the mean: {listed(evaluation.mapped.categories)}"
        )
    if evaluation.mapped.labels:
        told.append(f"labels without a category, left out: {listed(evaluation.mapped.labels)}")
    return told


def number(value: float | None) -> str:
    """Return a precision in words."""
    return "undefined" if value is None else f"{value:.4f}"


def with_interval(one: Evaluated, metric: str) -> str:
    """Return a precision and its interval."""
    ends = one.intervals[metric]
    told = number(getattr(one.accuracy, metric))
    return f"{told} [{ends[0]:.4f}, {ends[1]:.4f}]" if ends else told


def difference(one: Evaluated, metric: str = METRICS[0]) -> str:
    """Return the difference to the original in points, hundredths of a precision, and its interval."""
    value = one.difference.values[metric] if one.difference else None
    if one.difference is None or value is None:
        return ""
    ends = one.difference.intervals[metric]
    told = f"{100 * value:+.3f}"
    return f"{told} [{100 * ends[0]:+.3f}, {100 * ends[1]:+.3f}]" if ends else told


def table(rows: Sequence[Sequence[str]], title: bool = True) -> list[str]:
    """Return rows of Markdown; with `title` the first is one."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]] if title else lines


def _row(one: Evaluated, tools: dict[str, str], speeds: Mapping[str, str] | None) -> tuple[str, ...]:
    accuracy, engine = one.accuracy, one.entry["engine"]
    return (
        one.name,
        f"{engine} {tools.get(engine, '')}".strip(),
        f"{one.entry['bytes'] / 1e6:.2f}",
        *(with_interval(one, metric) for metric in METRICS),
        difference(one),
        *([speeds.get(one.name, "")] if speeds else []),
        *(number(value) for value in (accuracy.small, accuracy.medium, accuracy.large)),
    )
