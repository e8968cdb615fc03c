"""`openvino.convert_model` and PrePostProcessor, in the toolchain `ov-2026`: an ONNX graph becomes an OpenVINO model.

With the picture's preprocessing baked in, too, the model takes what a decoder hands out: u8 [1, H, W, 3] of any
size. What a recipe calls bilinear is two filters, and each is baked as the one that it is.

* Pillow's smooths when it shrinks, and rounds to whole levels between its two passes: widths, then heights. So does
  this, by two Interpolate of mode `bilinear_pillow`: less than 1 % of the levels differ, by 1, at most sizes. (Of a
  single one for both axes, a fifth.) More do where exact values are halfway between levels: 7 % of noise from 320x240
  to 300x300, some by 2. Pillow 13 begins with the heights where that makes the smaller picture between the passes:
  then a quarter of the levels of noise differ by 1.
* OpenCV's does not smooth. Interpolate of mode `linear` computes its formula, OpenCV itself in fixed point: an eighth
  of the levels are off by 1, none by more; where a picture is halved, all are equal.

Seen on noise and photographs of 17 sizes, 1x1 to 1920x1080, in OpenVINO 2024.6 and 2026.4.1, and 2022.3.2 for `linear`.
"""

from pathlib import Path
from typing import Any

from ssdconvert.model_optimizer import converted_in, name_deterministically, names_in, preprocessing_request
from ssdconvert.native_paths import native_path
from ssdconvert.recipe import Input, Recipe
from ssdconvert.toolchains import kind_of

TOOLCHAIN = "ov-2026"


def from_onnx(source: Path, recipe: Recipe, bake: str) -> Any:
    """Return the model of an ONNX file with its preprocessing inside, as `bake`, one of `build_plan.BAKES`, says.

    Raises MissingDevice where there is no such toolchain, ConversionError where the conversion fails.
    """
    with native_path(source) as path:
        request = {
            "source": str(path.absolute()),
            "resize": baked_resize(recipe.input) if bake == "image" else None,
            **preprocessing_request(recipe),
        }
        model = converted_in(
            TOOLCHAIN, "convert_onnx", request, "convert it by Model Optimizer: --converter mo"
        )
    name_deterministically(model, names_in(source))
    return model


def baked_resize(spec: Input) -> dict[str, Any]:
    """Return how a picture is resized inside: the mode of Interpolate, and the sides, by axis of NCHW, of each pass."""
    height, width = spec.shape[2:]
    if spec.resize.library == "pillow":
        mode, passes = "bilinear_pillow", [{"3": width}, {"2": height}]
    else:
        mode, passes = "linear", [{"2": height, "3": width}]
    return {"mode": mode, "passes": passes, "name": resized_tensor(spec)}


def resized_tensor(spec: Input) -> str:
    """Return the name of the tensor behind the resize: f32 [1, 3, H, W], whole levels of 0..255, converted order."""
    return f"{spec.name}/resized"


def made_by(converter: str) -> str:
    """Return the name and version of a converter, one of `build_plan.CONVERTERS`."""
    from ssdconvert.versions import tool_versions

    if converter == "openvino":
        return f"openvino.convert_model {kind_of(TOOLCHAIN).pins()['openvino']}"
    return f"Model Optimizer {tool_versions(['openvino-dev'])['openvino-dev']}"
