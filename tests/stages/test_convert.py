from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest

from ssdconvert.errors import ConversionError
from ssdconvert.ir_contract import check_ir, weight_types
from ssdconvert.ir_description import RUN_CONFIGURATION
from ssdconvert.model_optimizer import conversion_arguments
from ssdconvert.outputs import STATIC
from ssdconvert.runners.openvino_runner import OpenvinoRunner
from ssdconvert.ssd.preprocess import converted_input, original_input
from ssdconvert.stages.convert import convert


def test_the_same_bytes_in_the_same_process(tiny: Any, tmp_path: Path) -> None:
    again = {precision: tmp_path / precision / "tiny.xml" for precision in tiny.irs}
    convert(tiny.recipe, tiny.simplified, again, {"tiny.pth": read_source_digest(tiny.irs["FP32"])})
    for precision, path in tiny.irs.items():
        for suffix in (".xml", ".bin"):
            assert again[precision].with_suffix(suffix).read_bytes() == path.with_suffix(suffix).read_bytes()


def read_source_digest(path: Path) -> str:
    model = openvino.Core().read_model(path)
    return model.get_rt_info(["ssdconvert", "source_sha256", "tiny.pth"]).astype(str)


def test_preprocessing_is_inside(tiny: Any) -> None:
    """BGR 0..255 into the IR gives what normalised RGB gives in the original."""
    runner = OpenvinoRunner(tiny.irs["FP32"], "CPU", tiny.original.heads.names)
    for pixels in (picture.pixels for picture in tiny.pictures):
        expected = tiny.original.run(original_input(pixels, tiny.recipe.input), "picture")
        outputs = runner.run({"picture": converted_input(pixels, tiny.recipe.input)})
        for name, array in expected.items():
            np.testing.assert_allclose(outputs[name], array, atol=2e-5 * np.abs(array).max())


@pytest.mark.parametrize("model", ["rgb", "bgr"])
@pytest.mark.parametrize("converted", ["rgb", "bgr"])
def test_every_pair_of_channel_orders(
    tiny: Any, tiny_recipe: Any, tmp_path: Path, model: str, converted: str
) -> None:
    recipe = tiny_recipe(input__color={"model": model, "converted": converted})
    path = tmp_path / "FP32" / "tiny.xml"
    convert(recipe, tiny.simplified, {"FP32": path}, {})
    pixels = tiny.pictures[1].pixels
    expected = tiny.original.run(original_input(pixels, recipe.input), "picture")
    runner = OpenvinoRunner(path, "CPU", tiny.original.heads.names)
    outputs = runner.run({"picture": converted_input(pixels, recipe.input)})
    for name, array in expected.items():
        np.testing.assert_allclose(outputs[name], array, atol=2e-5 * np.abs(array).max())


def test_weights_are_what_was_asked_for(tiny: Any) -> None:
    core = openvino.Core()
    full = weight_types(core.read_model(tiny.irs["FP32"]))
    half = weight_types(core.read_model(tiny.irs["FP16"]))
    assert set(full) == {"f32"}
    assert half["f16"] > 0.99 * full["f32"]
    assert (
        tiny.irs["FP16"].with_suffix(".bin").stat().st_size
        < 0.6 * tiny.irs["FP32"].with_suffix(".bin").stat().st_size
    )


def test_an_ir_of_another_precision_is_refused(tiny: Any) -> None:
    with pytest.raises(ConversionError, match="expected f32"):
        check_ir(tiny.recipe, "FP32", tiny.irs["FP16"], STATIC)
    with pytest.raises(ConversionError, match="expected f16"):
        check_ir(tiny.recipe, "FP16", tiny.irs["FP32"], STATIC)


@pytest.mark.parametrize(
    "changes", [{"input__name": "image"}, {"input__shape": [1, 3, 64, 48]}, {"detections__keep": 20}]
)
def test_an_ir_with_other_ports_is_refused(tiny: Any, tiny_recipe: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(ConversionError, match="expected"):
        check_ir(tiny_recipe(**changes), "FP32", tiny.irs["FP32"], STATIC)


def test_rt_info_says_what_a_deployer_must_know(tiny: Any) -> None:
    model = openvino.Core().read_model(tiny.irs["FP16"])
    facts = {
        key: model.get_rt_info(["ssdconvert", key]).astype(str)
        for key in ("recipe", "labels", "precision", "input_color", "baked_mean", "baked_scale", "licence")
    }
    assert facts == {
        "recipe": "tiny",
        "labels": "cat\ndog",
        "precision": "FP16",
        "input_color": "bgr",
        "baked_mean": "120 110 100",
        "baked_scale": "60 50 40",
        "licence": "Apache-2.0",
    }


def test_rt_info_says_how_it_is_run_best_and_openvino_takes_that(tiny: Any) -> None:
    model = openvino.Core().read_model(tiny.irs["FP16"])
    told = model.get_rt_info(["ssdconvert", "run_configuration"]).astype(str)
    settings = dict(pair.split("=") for pair in told.split())
    assert settings == RUN_CONFIGURATION
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    assert compiled.get_property("PERFORMANCE_HINT") == "LATENCY"
    assert compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32
    assert compiled.get_property("NUM_STREAMS") == 1


def test_no_path_of_this_machine_is_in_the_ir(tiny: Any) -> None:
    text = tiny.irs["FP32"].read_text("utf-8")
    for word in (str(tiny.simplified.parent), "site-packages", str(Path.home())):
        assert word not in text


def test_arguments_stay_in_the_models_own_order(tiny: Any) -> None:
    assert conversion_arguments(tiny.recipe) == {
        "reverse_input_channels": True,
        "mean_values": {"picture": [120.0, 110.0, 100.0]},
        "scale_values": {"picture": [60.0, 50.0, 40.0]},
    }


def test_a_file_that_is_no_onnx_is_an_expected_failure(tiny: Any, tmp_path: Path) -> None:
    broken = tmp_path / "m.onnx"
    broken.write_bytes(b"nothing")
    with pytest.raises(ConversionError, match=r"m\.onnx"):
        convert(tiny.recipe, broken, {"FP32": tmp_path / "FP32" / "tiny.xml"}, {})
    assert not (tmp_path / "FP32").exists()


def test_an_ir_is_safe_in_f16_by_construction(tiny: Any) -> None:
    """Boxes are normalised before they are suppressed, and no shape is open but between that and what fills it up."""
    import openvino

    model = openvino.Core().read_model(tiny.irs["FP32"])
    order = model.get_ordered_ops()
    suppression = next(node for node in order if node.get_type_name() == "NonMaxSuppression")
    heads = set(tiny.original.heads.names)
    behind, waiting = [], [suppression]
    while waiting:
        node = waiting.pop()
        behind.append(node)
        ports = [port for port in node.input_values() if heads.isdisjoint(port.get_names())]
        waiting += [port.get_node() for port in ports]
    constants = [
        node.get_data()
        for node in behind
        if node.get_type_name() == "Constant" and node.get_element_type().get_type_name() == "f32"
    ]
    assert len(constants) >= 4
    assert max(float(np.abs(array).max()) for array in constants) <= 4

    boxes = suppression.input_value(0)
    boxes.get_tensor().set_names({"entering"})
    model.add_outputs("entering")
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for picture in tiny.pictures:
        entering = compiled([picture.for_converted(tiny.recipe.input)])["entering"]
        assert np.abs(entering).max() < 4
        assert entering[..., 2:].max() > 0.5  # in 0..1, of which they take much

    dynamic = {
        index
        for index, node in enumerate(order)
        if any(port.get_partial_shape().is_dynamic for port in node.outputs())
    }
    first, last = (
        next(index for index, node in enumerate(order) if node.get_type_name() == kind)
        for kind in ("NonMaxSuppression", "ScatterNDUpdate")
    )
    assert dynamic
    assert dynamic <= set(range(first, last))
    assert all(port.get_partial_shape().is_static for port in model.outputs)
