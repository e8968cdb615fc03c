"""What the files of an IR promise: kept by every file that is right, and each broken promise by its name."""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from openvino.runtime import opset8 as ops

from ssdconvert.catalog import Catalog
from ssdconvert.errors import ConversionError
from ssdconvert.ir_contract import check_ir, check_ready_ir, promises_of
from ssdconvert.outputs import STATIC, form_of
from ssdconvert.recipe import Recipe
from ssdconvert.stages.convert import convert, convert_caffe
from ssdconvert.stages.export import export
from ssdconvert.stages.load import load

OURS = ("whole", "input", "outputs", "weights", "description", "suppression")
READY = ("whole", "input", "outputs", "weights", "suppression")
DETECTION_OUTPUT, BOXES = form_of(["detection_out"]), form_of(["boxes", "labels"])
assert DETECTION_OUTPUT
assert BOXES

Change = Callable[[openvino.Model], openvino.Model | None]


def changed(document: Mapping[str, Any], **changes: Any) -> Recipe:
    """A recipe with changed keys: `detections__keep`."""
    copy = json.loads(json.dumps(document))
    for key, value in changes.items():
        *parents, last = key.split("__")
        place = copy
        for parent in parents:
            place = place[parent]
        place[last] = value
    return Recipe.model_validate_json(json.dumps(copy))


@pytest.fixture(scope="module")
def document(documents: Any) -> Any:
    """The recipe whose IRs are sabotaged: a quarter of its candidates enter NMS."""
    return documents["onnx"] | {"detections": documents["onnx"]["detections"] | {"per_class": 20, "keep": 50}}


@pytest.fixture(scope="module")
def converted(own_nms_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Path]]:
    """IRs of a recipe by precision, from `own_nms_file` or another ONNX file of its kind."""

    def made(recipe: Recipe, file: Path = own_nms_file) -> dict[str, Path]:
        folder = tmp_path_factory.mktemp("converted")
        # the file's own NMS takes all candidates: with fewer the recipe is not its own
        rule = recipe.detections.model_copy(update={"per_class": 80})
        original = load(recipe.model_copy(update={"detections": rule}), {"own-nms.onnx": file})
        export(recipe, original, folder / "exported.onnx")
        targets = {precision: folder / precision / "own-nms.xml" for precision in recipe.precisions}
        convert(recipe, folder / "exported.onnx", targets, {"own-nms.onnx": "0" * 64})
        return targets

    return made


@pytest.fixture(scope="module")
def irs(converted: Callable[..., dict[str, Path]], document: Any) -> dict[str, Path]:
    return converted(changed(document))


@pytest.fixture
def broken(irs: dict[str, Path], document: Any, tmp_path: Path) -> Callable[..., dict[str, list[str]]]:
    """The broken promises of an IR, `change`d after it was made, or with a changed recipe."""

    def of(
        change: Change = lambda model: None, precision: str = "FP32", promised: str = "", **changes: Any
    ) -> dict[str, list[str]]:
        model = openvino.Core().read_model(irs[precision])
        target = tmp_path / "changed.xml"
        openvino.save_model(change(model) or model, target, compress_to_fp16=False)
        promises = promises_of(
            changed(document, **changes), promised or precision, target, STATIC, ready=False
        )
        assert tuple(promises) == OURS
        return {name: told for name, told in promises.items() if told}

    return of


# --- what is right


def test_what_we_make_keeps_every_promise(irs: dict[str, Path], document: Any) -> None:
    for precision, path in irs.items():
        promises = promises_of(changed(document), precision, path, STATIC, ready=False)
        assert promises == {name: [] for name in OURS}


@pytest.mark.parametrize(
    "changes",
    [
        {"detections__clip": True},
        {"detections__at_iou_threshold": "suppress"},
        {"detections__per_class": 500},
        {"detections__keep": 500},
        {"detections__labels": ["a b", "Größe", "c & <d>"]},
        {"input__color": {"model": "bgr", "converted": "rgb"}, "input__mean": [1 / 3, 0.1, 0.001]},
        {"title": "a  title of \"many\" words & 'signs' <b>"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_so_does_what_we_make_of_other_recipes(
    converted: Callable[..., dict[str, Path]], document: Any, changes: dict[str, Any]
) -> None:
    recipe = changed(document, **changes)
    for precision, path in converted(recipe).items():
        assert not any(promises_of(recipe, precision, path, STATIC, ready=False).values())


@pytest.mark.parametrize("form", ["qoperator", "qdq"])
def test_so_does_a_quantised_one(
    converted: Callable[..., dict[str, Path]], own_nms_file: Path, document: Any, tmp_path: Path, form: Any
) -> None:
    from ssdconvert.stand_in.quantised import write_quantised

    recipe = changed(document, precisions=["INT8"])
    random = np.random.default_rng(3)
    images = [random.normal(0, 1, recipe.input.shape).astype(np.float32) for _ in range(4)]
    write_quantised(own_nms_file, tmp_path / "own-nms.onnx", form, "image", images)
    path = converted(recipe, tmp_path / "own-nms.onnx")["INT8"]
    assert not any(promises_of(recipe, "INT8", path, STATIC, ready=False).values())
    for precision in ("FP32", "FP16"):
        weights = promises_of(recipe, precision, path, STATIC, ready=False)["weights"]
        assert len(weights) == 2
        assert "expected f" in weights[0]
        assert "FakeQuantize, expected none" in weights[1]


@pytest.mark.parametrize("units", ["normalised", "pixels"])
def test_so_does_a_ready_one(ready_files: dict[str, Path], documents: Any, units: str) -> None:
    recipe = changed(documents["ir"], detections__units=units)
    form = DETECTION_OUTPUT if units == "normalised" else BOXES
    for precision, folder in (("FP32", "FP32"), ("FP16", "FP16"), ("INT8", "FP16-INT8")):
        path = ready_files[units] / folder / "ready.xml"
        assert promises_of(recipe, precision, path, form, ready=True) == {name: [] for name in READY}


@pytest.mark.parametrize(
    "name",
    [
        "face-detection-retail-0004",
        "person-vehicle-bike-detection-2000",
        "person-vehicle-bike-detection-2004",
    ],
)
def test_so_does_a_published_one(mirror: Path, name: str) -> None:
    form = BOXES if name.endswith("2004") else DETECTION_OUTPUT
    recipe, path = Catalog().find(name).recipe, mirror / name / "FP16" / f"{name}.xml"
    assert promises_of(recipe, "FP16", path, form, ready=True) == {name: [] for name in READY}


# --- file


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda xml: xml.with_suffix(".bin").unlink(), "own-nms.bin does not exist"),
        (lambda xml: xml.unlink(), "own-nms.xml does not exist"),
        (
            lambda xml: xml.with_suffix(".bin").write_bytes(xml.with_suffix(".bin").read_bytes()[:-4]),
            r"own-nms.bin has (\d+) bytes, expected (\d+) of own-nms.xml",
        ),
        (
            lambda xml: xml.with_suffix(".bin").write_bytes(xml.with_suffix(".bin").read_bytes() + b"more"),
            r"own-nms.bin has (\d+) bytes, expected (\d+) of own-nms.xml",
        ),
        (
            lambda xml: xml.write_text(
                xml.read_text("utf-8").replace('type="Convolution"', 'type="Convulsion"'), "utf-8"
            ),
            "own-nms.xml cannot be read by OpenVINO: .*Convulsion.*",
        ),
    ],
)
def test_a_file_that_cannot_be_read_keeps_no_other_promise(
    irs: dict[str, Path], document: Any, tmp_path: Path, damage: Callable[[Path], Any], told: str
) -> None:
    shutil.copytree(irs["FP32"].parent, tmp_path / "FP32")
    path = tmp_path / "FP32" / "own-nms.xml"
    damage(path)
    promises = promises_of(changed(document), "FP32", path, STATIC, ready=False)
    assert list(promises) == ["whole"]
    (reason,) = promises["whole"]
    assert re.fullmatch(told, reason)
    assert str(tmp_path) not in reason


def test_operations_of_one_name_are_told(broken: Any) -> None:
    def named_alike(model: openvino.Model) -> None:
        for count, name in ((2, "twice"), (3, "thrice")):
            for operation in [one for one in model.get_ops() if one.get_type_name() == "Constant"][:count]:
                operation.set_friendly_name(name)

    assert broken(named_alike) == {"whole": ["several operations are named thrice"]}


# --- input, outputs


def named(kind: str, old: str, new: str) -> Change:
    def change(model: openvino.Model) -> None:
        port = next(port for port in getattr(model, kind) if old in port.get_names())
        port.get_tensor().set_names({new})

    return change


def test_another_input_is_told(broken: Any) -> None:
    expected = "expected image f32 [1, 3, 16, 16]"
    assert broken(named("inputs", "image", "data")) == {
        "input": [f"the input data f32 [1, 3, 16, 16], {expected}"]
    }
    assert broken(input__shape=[1, 3, 16, 24]) == {
        "input": ["the input image f32 [1, 3, 16, 16], expected image f32 [1, 3, 16, 24]"]
    }
    assert broken(lambda model: model.reshape({"image": [-1, 3, 16, 16]}))["input"] == [
        f"the input image f32 [?,3,16,16], {expected}"
    ]


def with_outputs(*order: int, kind: str | None = None) -> Change:
    def change(model: openvino.Model) -> openvino.Model:
        results = [model.get_results()[index] for index in order]
        if kind:
            source = results[0].input_value(0)
            results[0].input(0).replace_source_output(ops.convert(source, kind).output(0))
            results[0].output(0).get_tensor().set_names({"bboxes"})
        return openvino.Model(results, model.get_parameters())

    return change


def other_outputs(broken: Any, change: Change) -> list[str]:
    told = broken(change)
    told.pop("description", None)  # that of the model stays behind
    assert list(told) == ["outputs"]
    return told["outputs"]


def test_other_outputs_are_told(broken: Any) -> None:
    assert broken(named("outputs", "bboxes", "boxes")) == {
        "outputs": [
            "the output 'bboxes' is missing, found 'boxes', 'labels', 'scores'",
            "the output 'boxes', expected 'bboxes', 'labels', 'scores' alone",
        ]
    }
    assert other_outputs(broken, with_outputs(1, 0, 2)) == [
        "the outputs 'labels', 'bboxes', 'scores', expected them as 'bboxes', 'labels', 'scores'"
    ]
    assert other_outputs(broken, with_outputs(0, 2)) == [
        "the output 'labels' is missing, found 'bboxes', 'scores'"
    ]
    assert other_outputs(broken, with_outputs(0, 1, 2, kind="f16")) == [
        "the output 'bboxes' f16 [1, 50, 4], expected f32 [1, 50, 4]"
    ]
    (told,) = broken(lambda model: model.add_outputs("class_probabilities") and None)["outputs"]
    assert told == "the output 'class_probabilities', expected 'bboxes', 'labels', 'scores' alone"


def test_fewer_rows_than_promised_are_told_twice(broken: Any) -> None:
    assert broken(detections__keep=40) == {
        "outputs": [
            "the output 'bboxes' f32 [1, 50, 4], expected f32 [1, 40, 4]",
            "the output 'labels' i64 [1, 50], expected i64 [1, 40]",
            "the output 'scores' f32 [1, 50], expected f32 [1, 40]",
        ],
        "suppression": ["keep 50, expected 40"],
    }


# --- weights


@pytest.mark.parametrize(("actual", "promised"), [("FP16", "FP32"), ("FP32", "FP16"), ("FP32", "INT8")])
def test_weights_of_another_precision_are_told(broken: Any, actual: str, promised: str) -> None:
    told = broken(precision=actual, promised=promised)
    expected = {"FP32": "f32", "FP16": "f16", "INT8": "i8 or u8"}[promised]
    assert re.fullmatch(rf"weights of {{.*}}, expected {expected} of {promised}", *told.pop("weights"))
    assert told == {"description": [f"precision: '{actual}', expected '{promised}'"]}


def test_values_rounded_to_a_few_levels_are_told(broken: Any) -> None:
    def change(model: openvino.Model) -> None:
        source = next(node for node in model.get_ordered_ops() if node.get_type_name() == "Relu").output(0)
        readers = source.get_target_inputs()
        edges = [np.float32(edge) for edge in (0, 4, 0, 4)]
        rounded = ops.fake_quantize(source, *edges, levels=256)
        for reader in readers:
            reader.replace_source_output(rounded.output(0))

    assert broken(change) == {"weights": ["1 operations FakeQuantize, expected none in FP32"]}


# --- description


def saying(key: str, value: str) -> Change:
    return lambda model: model.set_rt_info(value, ["ssdconvert", key])


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("recipe", "other", "recipe: 'other', expected 'own-nms'"),
        ("precision", "FP16", "precision: 'FP16', expected 'FP32'"),
        ("input_color", "rgb", "input_color: 'rgb', expected 'bgr'"),
        ("input_range", "0..1", "input_range: '0..1', expected '0..255'"),
        (
            "resize",
            "stretch nearest opencv",
            "resize: 'stretch nearest opencv', expected 'stretch bilinear opencv'",
        ),
        (
            "resize",
            "stretch bilinear pillow",
            "resize: 'stretch bilinear pillow', expected 'stretch bilinear opencv'",
        ),
        ("baked_model_color", "bgr", "baked_model_color: 'bgr', expected 'rgb'"),
        ("baked_mean", "100 110 120", "baked_mean: '100 110 120', expected '120 110 100'"),
        ("baked_scale", "1 1 1", "baked_scale: '1 1 1', expected '60 50 40'"),
        (
            "run_configuration",
            "PERFORMANCE_HINT=THROUGHPUT",
            "run_configuration: 'PERFORMANCE_HINT=THROUGHPUT', expected "
            "'PERFORMANCE_HINT=LATENCY INFERENCE_PRECISION_HINT=f32'",
        ),
        ("labels", "cat\ndog", "labels: 'cow' missing: expected 3 names, found 2"),
        ("labels", "cat\ndog\ncow\nhen", "labels: 'hen' too many: expected 3 names, found 4"),
        ("labels", "cat\nhen\ncow", "labels: 'dog' missing, 'hen' too many: expected 3 names, found 3"),
        ("labels", "cat\ncow\ndog", "labels: label 2 is 'cow', expected 'dog': expected 3 names, found 3"),
        ("stand_in", "seeded", "stand_in: 'seeded', expected weights that do not come from a seed"),
    ],
)
def test_a_wrong_description_is_told(broken: Any, key: str, value: str, told: str) -> None:
    assert broken(saying(key, value)) == {"description": [told]}


def test_truncated_labels_of_a_shipped_list_are_told(broken: Any) -> None:
    names = Catalog().find("ssd-12").recipe.class_names
    told = broken(saying("labels", "\n".join(names[:-1])), detections__labels="coco-80")["description"]
    assert told == ["labels: 'toothbrush' missing: expected 80 names of coco-80, found 79"]
    (told,) = broken(detections__labels="coco-80")["description"]
    assert told.startswith(
        "labels: 'person', 'bicycle', 'car', 'motorcycle', 'airplane' and 72 more missing: "
    )


def test_an_ir_that_says_nothing_is_told(broken: Any) -> None:
    told = broken(lambda model: openvino.Model(model.get_results(), model.get_parameters()))
    assert told == {"description": ["rt_info has no section ssdconvert, expected that of own-nms"]}


def test_seeded_weights_must_say_so(irs: dict[str, Path], document: Any) -> None:
    recipe = changed(document).stand_in()
    told = promises_of(recipe, "FP32", irs["FP32"], STATIC, ready=False)["description"]
    assert "recipe: 'own-nms', expected 'own-nms-stand-in'" in told
    assert "stand_in is missing, expected 'the weights come from a seed and detect nothing real'" in told


# --- suppression


def threshold(index: int, value: float) -> Change:
    def change(model: openvino.Model) -> None:
        nms = next(node for node in model.get_ordered_ops() if node.get_type_name() == "NonMaxSuppression")
        nms.input(index).replace_source_output(ops.constant(np.array([value], np.float32)).output(0))

    return change


@pytest.mark.parametrize("precision", ["FP32", "FP16"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (threshold(3, 0.45), "iou_threshold 0.45, expected 0.5"),
        (threshold(3, 0.5), "at_iou_threshold suppress, expected keep"),
        (threshold(4, 0.1), "score_threshold 0.1, expected 0.05"),
        (threshold(4, float(np.float16(0.05))), "score_threshold 0.0499878, expected 0.05"),
    ],
)
def test_another_threshold_is_told(broken: Any, precision: str, change: Change, told: str) -> None:
    assert broken(change, precision) == {"suppression": [told]}


def test_another_rule_of_the_recipe_is_told(broken: Any) -> None:
    assert broken(detections__per_class=40) == {"suppression": ["per_class 20, expected 40 of 80"]}
    assert broken(detections__clip=True) == {"suppression": ["clip no, expected yes"]}


def test_candidates_that_no_topk_picked_are_told(broken: Any) -> None:
    def change(model: openvino.Model) -> None:
        best = next(node for node in model.get_ordered_ops() if node.get_type_name() == "TopK")
        first = ops.slice(best.input_value(0), *(np.array([n]) for n in (0, 20, 1, 1)))
        for reader in best.output(0).get_target_inputs():
            reader.replace_source_output(first.output(0))

    assert broken(change) == {
        "suppression": ["per_class: 20 candidates that no TopK picked, expected the best 20"]
    }


def test_a_graph_whose_thresholds_are_computed_is_told(broken: Any) -> None:
    def change(model: openvino.Model) -> None:
        nms = next(node for node in model.get_ordered_ops() if node.get_type_name() == "NonMaxSuppression")
        mean = ops.reduce_mean(model.get_parameters()[0], np.array([0, 1, 2, 3]), False)
        nms.input(3).replace_source_output(mean.output(0))

    (told,) = broken(change)["suppression"]
    assert "not constants" in told


# --- ready IRs, and those that end as their original does


@pytest.fixture
def ready_broken(ready_files: dict[str, Path], documents: Any, tmp_path: Path) -> Callable[..., Any]:
    """The broken promises of a ready IR whose .xml is changed by a pattern, or whose recipe is changed."""

    def of(units: str, pattern: str = "", new: str = "", folder: str = "FP32", **changes: Any) -> Any:
        shutil.copytree(ready_files[units] / folder, tmp_path / folder, dirs_exist_ok=True)
        path = tmp_path / folder / "ready.xml"
        text = path.read_text("utf-8")
        path.write_text(re.sub(pattern, new, text) if pattern else text, "utf-8")
        assert not pattern or path.read_text("utf-8") != text
        recipe = changed(documents["ir"], detections__units=units, **changes)
        form = DETECTION_OUTPUT if units == "normalised" else BOXES
        promises = promises_of(recipe, {"FP16-INT8": "INT8"}.get(folder, folder), path, form, ready=True)
        return {name: told for name, told in promises.items() if told}

    return of


@pytest.mark.parametrize("folder", ["FP32", "FP16", "FP16-INT8"])
@pytest.mark.parametrize(
    ("pattern", "new", "told"),
    [
        ('nms_threshold="[^"]*"', 'nms_threshold="0.4"', "iou_threshold 0.4, expected 0.45"),
        ('confidence_threshold="[^"]*"', 'confidence_threshold="0.1"', "score_threshold 0.1, expected 0.05"),
        ('(?<!keep_)top_k="[^"]*"', 'top_k="400"', "per_class 400, expected 100"),
        ('clip_before_nms="false"', 'clip_before_nms="true"', "clip yes, expected no"),
        ('decrease_label_id="false"', 'decrease_label_id="true"', "decrease_label_id"),
    ],
)
def test_another_detection_output_is_told(
    ready_broken: Any, folder: str, pattern: str, new: str, told: str
) -> None:
    broken = ready_broken("normalised", pattern, new, folder)
    assert list(broken) == ["suppression"]
    assert told in broken["suppression"][0]


def test_fewer_rows_of_a_detection_output_are_told_twice(ready_broken: Any) -> None:
    broken = ready_broken("normalised", 'keep_top_k="40"', 'keep_top_k="20"')
    assert broken == {
        "outputs": ["the output 'detection_out' f32 [1, 1, 20, 7], expected f32 [1, 1, 40, 7]"],
        "suppression": ["keep 20, expected 40"],
    }


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"detections__iou_threshold": 0.5}, {"suppression": ["iou_threshold 0.45, expected 0.5"]}),
        ({"detections__score_threshold": 0.1}, {"suppression": ["score_threshold 0.05, expected 0.1"]}),
        ({"detections__keep": 60}, {"suppression": ["keep 40, expected 60"]}),
        (
            {"detections__keep": 30},
            {
                "outputs": [
                    "the output 'boxes' f32 [..40,5], expected f32 [30, 5]",
                    "the output 'labels' i64 [..40], expected i64 or i32 [30]",
                ],
                "suppression": ["keep 40, expected 30"],
            },
        ),
        (
            {"input__name": "image"},
            {"input": ["the input picture f32 [1, 3, 96, 128], expected image f32 [1, 3, 96, 128]"]},
        ),
    ],
)
def test_another_recipe_of_boxes_and_labels_is_told(ready_broken: Any, changes: Any, told: Any) -> None:
    assert ready_broken("pixels", **changes) == told


def test_a_ready_ir_of_another_precision_is_told(ready_files: dict[str, Path], documents: Any) -> None:
    recipe, path = changed(documents["ir"]), ready_files["normalised"] / "FP16-INT8" / "ready.xml"
    for precision in ("FP32", "FP16"):
        promises = promises_of(recipe, precision, path, DETECTION_OUTPUT, ready=True)
        assert [name for name, told in promises.items() if told] == ["weights"]


def test_a_caffe_network_that_keeps_its_end(
    caffe_toolchain: Any, caffe_files: Path, documents: Any, tmp_path: Path
) -> None:
    recipe = changed(documents["caffe"])
    files = {file.name: caffe_files / file.name for file in recipe.source.files}
    targets = {precision: tmp_path / precision / "tiny.xml" for precision in recipe.precisions}
    convert_caffe(recipe, load(recipe, files), files, targets, {})
    for precision, path in targets.items():
        promises = promises_of(recipe, precision, path, DETECTION_OUTPUT, ready=False)
        assert promises == {name: [] for name in OURS}
        text = path.read_text("utf-8")
        for pattern, new, told in (
            ('nms_threshold="[^"]*"', 'nms_threshold="0.5"', ["iou_threshold 0.5, expected 0.45"]),
            (
                'confidence_threshold="[^"]*"',
                'confidence_threshold="0.3"',
                ["score_threshold 0.3, expected 0.4"],
            ),
            (' top_k="[^"]*"', ' top_k="-1"', ["per_class 1536, expected 100"]),
        ):
            path.write_text(re.sub(pattern, new, text), "utf-8")
            broken = promises_of(recipe, precision, path, DETECTION_OUTPUT, ready=False)
            assert broken == {name: [] for name in OURS} | {"suppression": told}
        path.write_text(text.replace('<resize value="', '<resize value="no '), "utf-8")
        broken = promises_of(recipe, precision, path, DETECTION_OUTPUT, ready=False)
        assert [name for name, told in broken.items() if told] == ["description"]


# --- what the stages refuse


def test_the_stages_refuse_what_breaks_a_promise(
    irs: dict[str, Path], document: Any, ready_files: Any, documents: Any
) -> None:
    check_ir(changed(document), "FP32", irs["FP32"], STATIC)
    with pytest.raises(ConversionError) as caught:
        check_ir(changed(document, detections__per_class=30), "FP32", irs["FP32"], STATIC)
    assert caught.value.message == (
        "the FP32 IR does not keep what it promises: suppression: per_class 20, expected 30 of 80"
    )
    assert caught.value.stage == "convert"
    path = ready_files["normalised"] / "FP32" / "ready.xml"
    assert check_ready_ir(changed(documents["ir"]), "FP32", path).get_parameters()
    for key, value in (("input__name", "image"), ("input__shape", [1, 3, 128, 96])):
        with pytest.raises(ConversionError, match=r"ready\.xml has the input picture f32") as caught:
            check_ready_ir(changed(documents["ir"], **{key: value}), "FP32", path)
        assert caught.value.stage == "load"
    with pytest.raises(ConversionError, match=r"ready\.xml has weights of .*, expected f16 of FP16"):
        check_ready_ir(changed(documents["ir"]), "FP16", path)
