"""What there is to know of a recipe, of the original and of the converted model side by side."""

from collections.abc import Iterator

from ssdconvert.build_plan import offered
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import CaffeSource, IrSource, OnnxSource, PytorchSource

BOXES = "x_min, y_min, x_max, y_max"

Row = tuple[str, str, str]  # its name, of the original, of the converted model


def rows(recipe: Recipe, tail: str = "nms", bake: str = "values") -> Iterator[Row]:
    """Yield what there is to know, of the original and of the converted model.

    `tail` is what was put behind the heads, `bake` how much preprocessing is inside: see `build_plan`.
    """
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
    yield "input", shape, f"{spec.name} u8 [1, any, any, 3] NHWC" if bake == "image" else shape
    yield "colour", spec.color.model.upper(), spec.color.converted.upper()
    yield "values", "(0..255 - mean) / scale" if baked else "0..255", "0..255"
    if baked:
        order = spec.color.model.upper()
        yield "mean", f"{mean} ({order})", "inside"
        yield "scale", f"{scale} ({order})", "inside"
    resize = f"{spec.resize.mode} to {width}x{height}, {spec.resize.filter} ({spec.resize.library})"
    yield "resize", resize, "inside" if bake == "image" else resize
    yield "outputs", _original_outputs(recipe), _converted_outputs(recipe, tail)
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


def _converted_outputs(recipe: Recipe, tail: str) -> str:
    keep = recipe.detections.keep
    if recipe.source.keeps_outputs:
        return _ready_outputs(recipe)
    if tail == "heads":
        return f"the heads, scores f32 [1, P, {recipe.classes}] and boxes f32 [1, P, 4], before NMS"
    if tail == "detection-output":
        return _detection_out(recipe)
    return f"bboxes f32 [1, {keep}, 4], labels i64 [1, {keep}], scores f32 [1, {keep}]; best first, unused rows 0"


def _ready_outputs(recipe: Recipe) -> str:
    keep = recipe.detections.keep
    if recipe.detections.units == "pixels":
        return f"boxes f32 [N, 5] (corners, score), labels [N], N <= {keep}"
    return _detection_out(recipe)


def _detection_out(recipe: Recipe) -> str:
    keep = recipe.detections.keep
    return f"detection_out f32 [1, 1, {keep}, 7] (image_id, label, score, corners); image_id -1 ends it"


def _original_boxes(recipe: Recipe, boxes: str) -> str:
    return boxes if not isinstance(recipe.source, PytorchSource) else f"after decoding: {boxes}"


def _original_labels(recipe: Recipe, labels: str) -> str:
    return labels + (", 0 is the background" if recipe.detections.first_label else ", no background")
