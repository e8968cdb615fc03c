"""What an IR that ssdconvert made says of itself, in rt_info: what its graph does not show and a deployer must know."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ssdconvert.recipe import Recipe

SECTION = "ssdconvert"
MOST_NAMES = 5  # shown of labels that are missing, or too many
KEYS = (  # of `describe`, but for the digests
    "recipe", "title", "licence", "precision", "labels", "stand_in", "input_range", "input_color", "resize",
    "baked_model_color", "baked_mean", "baked_scale",
    "converter", "input_type", "input_layout", "input_size", "baked_resize", "run_configuration",
)  # fmt: skip
# properties of OpenVINO with which one picture at a time is answered soonest, in the type that was verified;
# docs/run-configuration.md says why these, benchmarks/ir_latency.py measures others
RUN_CONFIGURATION = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}


def describe(
    model: Any,
    recipe: Recipe,
    precision: str,
    sources: Mapping[str, str],
    converter: str,
    bake: str = "values",
) -> None:
    """Write the description into an openvino.Model.

    `sources` are the digests of the original's files, `converter` is the name and version of what made the model.
    """
    for key, value in {**description_of(recipe, precision, bake), "converter": converter}.items():
        model.set_rt_info(value, [SECTION, key])
    for name, digest in sources.items():
        model.set_rt_info(digest, [SECTION, "source_sha256", re.sub(r"[^A-Za-z0-9_.-]", "_", name)])


def description_of(recipe: Recipe, precision: str, bake: str = "values") -> dict[str, str]:
    """Return what an IR of a recipe says of itself, but for what made it, and of what."""
    spec = recipe.input
    resize = f"{spec.resize.mode} {spec.resize.filter} {spec.resize.library}"
    picture = {"resize": resize}
    if bake == "image":
        picture = {
            "input_type": "u8",
            "input_layout": "NHWC",
            "input_size": "any",
            "baked_resize": f"{resize} {spec.shape[3]}x{spec.shape[2]}",
        }
    return {
        "recipe": recipe.name,
        "title": recipe.title,
        "licence": recipe.licence,
        "precision": precision,
        "labels": "\n".join(recipe.class_names),
        **(
            {"stand_in": "the weights come from a seed and detect nothing real"} if recipe.is_stand_in else {}
        ),
        "input_range": "0..255",
        "input_color": spec.color.converted,
        **picture,
        "baked_model_color": spec.color.model,
        "baked_mean": " ".join(f"{value:g}" for value in spec.mean),
        "baked_scale": " ".join(f"{value:g}" for value in spec.scale),
        "run_configuration": " ".join(f"{key}={value}" for key, value in RUN_CONFIGURATION.items()),
    }


def description_in(model: Any) -> dict[str, str]:
    """Return what an openvino.Model says of itself, as far as single values go; empty if ssdconvert did not make it."""
    if not model.has_rt_info([SECTION]):
        return {}
    told = {key: _told(model, key) for key in KEYS}
    return {key: value for key, value in told.items() if value is not None}


def broken_description(model: Any, recipe: Recipe, precision: str, bake: str = "values") -> list[str]:
    """Return what an openvino.Model says of itself in other words than an IR of this recipe does."""
    if not model.has_rt_info([SECTION]):
        return [f"rt_info has no section {SECTION}, expected that of {recipe.name}"]
    broken = []
    for key, expected in description_of(recipe, precision, bake).items():
        actual = _told(model, key)
        if actual == expected:
            continue
        if actual is None:
            broken.append(
                f"{key} is missing, expected {expected.splitlines() if key == 'labels' else expected!r}"
            )
        elif key == "labels":
            broken.append(_other_labels(recipe, actual.split("\n")))
        else:
            broken.append(f"{key}: {actual!r}, expected {expected!r}")
    if not recipe.is_stand_in and _told(model, "stand_in") is not None:
        broken.append(
            f"stand_in: {_told(model, 'stand_in')!r}, expected weights that do not come from a seed"
        )
    return broken


def rt_info_of(model: Any, section: str, key: str) -> str | None:
    """Return a value of rt_info; None where there is none."""
    path = [section, key]
    try:
        return str(model.get_rt_info(path).astype(str)) if model.has_rt_info(path) else None
    except RuntimeError:  # a section of this name
        return None


def _told(model: Any, key: str) -> str | None:
    """Return a value of the description; None where there is none."""
    return rt_info_of(model, SECTION, key)


def _other_labels(recipe: Recipe, actual: Sequence[str]) -> str:
    """Tell how labels differ from those of a recipe."""
    expected = recipe.class_names
    listed = f" of {recipe.detections.labels}" if isinstance(recipe.detections.labels, str) else ""
    lost, added = Counter(expected) - Counter(actual), Counter(actual) - Counter(expected)
    told = [f"{_few(names)} {what}" for names, what in ((lost, "missing"), (added, "too many")) if names]
    if not told:
        index = next(
            index for index, names in enumerate(zip(actual, expected, strict=True)) if len({*names}) > 1
        )
        told = [f"label {index + 1} is {actual[index]!r}, expected {expected[index]!r}"]
    return f"labels: {', '.join(told)}: expected {len(expected)} names{listed}, found {len(actual)}"


def _few(names: Counter[str]) -> str:
    shown = ", ".join(repr(name) for name in list(names)[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown} and {len(names) - MOST_NAMES} more"
