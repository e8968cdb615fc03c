"""A recipe in words: the original and the converted model side by side."""

import textwrap
from collections.abc import Iterator, Sequence

from ssdconvert.build_plan import offered
from ssdconvert.catalog import CatalogEntry
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import CaffeSource, File, IrSource, OnnxSource, PytorchSource

MARGIN, COLUMN = 13, 46  # characters
BOXES = "x_min, y_min, x_max, y_max"

Row = tuple[str, str, str]


def recipe_text(entry: CatalogEntry) -> str:
    """Return what a recipe says."""
    recipe = entry.recipe
    facts = [
        ("recipe", str(entry.path)),
        ("licence", recipe.licence),
        *([("homepage", recipe.homepage)] if recipe.homepage else []),
        *(("file", _file_text(file)) for file in recipe.source.files),
        *(
            (f"{name}", f"{_file_text(file)}, if it is in the cache or in a mirror")
            for name, file in _evidence(recipe)
        ),
    ]
    lines = [f"{recipe.name}: {recipe.title}", ""]
    lines += [f"  {name:{MARGIN}}{value}" for name, value in facts]
    lines += ["", *_side_by_side([("", "original", "converted"), *_rows(recipe)]), ""]
    for accuracy in recipe.accuracy:
        lines += _paragraph(
            "accuracy", f"{accuracy.metric} {accuracy.value:g} by {accuracy.by} ({accuracy.source})"
        )
    for note in recipe.notes:
        lines += _paragraph("note", note)
    return "\n".join(line.rstrip() for line in lines)


def _evidence(recipe: Recipe) -> Iterator[tuple[str, File]]:
    file = recipe.source.evidence
    if file:
        yield "twin" if isinstance(recipe.source, CaffeSource) else "recorded", file


def _rows(recipe: Recipe) -> Iterator[Row]:
    """Yield what there is to know, of the original and of the converted model."""
    spec, rule = recipe.input, recipe.detections
    height, width = spec.shape[2:]
    shape = f"{spec.name} f32 [1, 3, {height}, {width}] NCHW"
    ready = isinstance(recipe.source, IrSource)
    baked = any(spec.mean) or any(value != 1 for value in spec.scale)
    mean, scale = (" ".join(f"{value:g}" for value in values) for values in (spec.mean, spec.scale))
    yield (
        "format",
        _format(recipe),
        f"OpenVINO IR {', '.join(offered(recipe))}" + (", as published" if ready else ""),
    )
    yield "input", shape, shape
    yield "colour", spec.color.model.upper(), spec.color.converted.upper()
    yield "values", "(0..255 - mean) / scale" if baked else "0..255", "0..255"
    if baked:
        order = spec.color.model.upper()
        yield "mean", f"{mean} ({order})", "inside"
        yield "scale", f"{scale} ({order})", "inside"
    resize = f"{spec.resize.mode} to {width}x{height}, {spec.resize.filter} ({spec.resize.library})"
    yield "resize", resize, resize
    yield "outputs", _original_outputs(recipe), _converted_outputs(recipe)
    boxes = f"{BOXES}, {'pixels of the input' if rule.units == 'pixels' else '0..1'}"
    yield "boxes", _original_boxes(recipe, boxes), boxes
    labels = f"{rule.first_label}..{rule.first_label + recipe.classes - 2}"
    yield (
        "labels",
        _original_labels(recipe, labels),
        labels + (", 0 is the background" if rule.first_label else ""),
    )
    names = recipe.class_names
    shown = [f"{label} {name}" for label, name in enumerate(names, start=rule.first_label)]
    yield "", ", ".join(shown if len(shown) <= 7 else [*shown[:6], "...", shown[-1]]), ""
    edge = f"{rule.at_iou_threshold} at equality"
    clip = ", boxes clipped first" if rule.clip else ""
    yield (
        "detections",
        f"score > {rule.score_threshold:g}; best {rule.per_class} of a class; IoU {rule.iou_threshold:g} "
        f"({edge}){clip}; best {rule.keep} in all",
        "the same",
    )  # fmt: skip


def _format(recipe: Recipe) -> str:
    source = recipe.source
    if isinstance(source, PytorchSource):
        return f"PyTorch checkpoint, network {source.network}"
    if isinstance(source, OnnxSource):
        return "ONNX" + (", quantised" if recipe.precisions == ("INT8",) else "")
    return "Caffe" if isinstance(source, CaffeSource) else "OpenVINO IR"


def _original_outputs(recipe: Recipe) -> str:
    source = recipe.source
    if isinstance(source, PytorchSource):
        return f"class logits [1, P, {recipe.classes}] and box offsets [1, P, 4], before decoding and NMS"
    if isinstance(source, OnnxSource | CaffeSource) and source.heads:
        kind = "offsets" if source.heads.default_boxes else "decoded boxes"
        return f"{source.heads.scores} [1, P, {recipe.classes}] and {source.heads.boxes} [1, P, 4] ({kind}), before NMS"
    if isinstance(source, OnnxSource):
        return f"bboxes [1, N, 4], labels [1, N], scores [1, N], N <= {recipe.detections.keep}"
    return _ready_outputs(recipe)


def _converted_outputs(recipe: Recipe) -> str:
    rows = recipe.detections.keep
    if recipe.source.keeps_outputs:
        return _ready_outputs(recipe)
    return f"bboxes f32 [1, {rows}, 4], labels i64 [1, {rows}], scores f32 [1, {rows}]; best first, unused rows 0"


def _ready_outputs(recipe: Recipe) -> str:
    rows = recipe.detections.keep
    if recipe.detections.units == "pixels":
        return f"boxes f32 [N, 5] (corners, score), labels [N], N <= {rows}"
    return f"detection_out f32 [1, 1, {rows}, 7] (image_id, label, score, corners); image_id -1 ends it"


def _original_boxes(recipe: Recipe, boxes: str) -> str:
    return boxes if not isinstance(recipe.source, PytorchSource) else f"after decoding: {boxes}"


def _original_labels(recipe: Recipe, labels: str) -> str:
    return labels + (", 0 is the background" if recipe.detections.first_label else ", no background")


def _side_by_side(rows: Sequence[Row]) -> Iterator[str]:
    for name, original, converted in rows:
        left, right = (textwrap.wrap(cell, COLUMN) or [""] for cell in (original, converted))
        for index in range(max(len(left), len(right))):
            cells = [column[index] if index < len(column) else "" for column in (left, right)]
            yield f"  {name if index == 0 else '':{MARGIN}}{cells[0]:{COLUMN}}  {cells[1]}"


def _paragraph(name: str, text: str) -> list[str]:
    lines = textwrap.wrap(text, 2 * COLUMN + 2)
    return [f"  {name if index == 0 else '':{MARGIN}}{line}" for index, line in enumerate(lines)]


def _file_text(file: File) -> str:
    size = f"{file.size} bytes" if file.size else "size not published"
    digest = (
        f"sha256 {file.sha256}" if file.sha256 else f"sha384 {file.sha384}" if file.sha384 else "unpinned"
    )
    return f"{file.name}  {size}  {digest}"
