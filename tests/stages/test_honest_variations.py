"""The gate does not flinch: what is made in another honest way passes.

A hundred and twelve builds, each an IR of one opset, simplified or not, by Model Optimizer or by OpenVINO's own
converter with PrePostProcessor, in FP32 or FP16, run with one thread or two, of weights from a seed of its own.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssdconvert.candidate import Candidate
from ssdconvert.ir_contract import promises_of
from ssdconvert.outputs import STATIC
from ssdconvert.recipe import Recipe
from ssdconvert.report.result import Check
from ssdconvert.runners.openvino_runner import OpenvinoRunner
from ssdconvert.samples import Picture
from ssdconvert.stages.convert import convert
from ssdconvert.stages.export import export
from ssdconvert.stages.load import load
from ssdconvert.stages.simplify import simplify
from ssdconvert.stages.verify import verify

OPSETS = range(11, 18)
VARIATIONS = list(product(OPSETS, (False, True), ("model optimizer", "PrePostProcessor"), (1, 2)))
QUICK = (11, 13, 17)  # the oldest opset, the usual one, the newest


def is_quick(opset: int, simplified: bool, converter: str, count: int) -> bool:
    """Half of what three opsets have, with every pair of choices: the others take minutes more."""
    return opset in QUICK and (simplified + (converter == "model optimizer") + count) % 2 == 0


def by_preprocessor(recipe: Recipe, source: Path, targets: dict[str, Path]) -> None:
    """Convert as people do who have left Model Optimizer."""
    import openvino
    from openvino.preprocess import ColorFormat, PrePostProcessor

    model = openvino.Core().read_model(source)
    steps = PrePostProcessor(model)
    entry = steps.input(recipe.input.name)
    entry.tensor().set_layout(openvino.Layout("NCHW")).set_color_format(ColorFormat.BGR)
    entry.model().set_layout(openvino.Layout("NCHW"))
    entry.preprocess().convert_color(ColorFormat.RGB)
    entry.preprocess().mean(list(recipe.input.mean)).scale(list(recipe.input.scale))
    model = steps.build()
    for precision, target in targets.items():
        target.parent.mkdir(parents=True)
        openvino.save_model(model, target, compress_to_fp16=precision == "FP16")


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Let every engine compute with so many threads."""

    def use(count: int) -> None:
        import openvino

        compile_model = openvino.Core.compile_model

        def limited(core: Any, model: Any, device: str, config: Any) -> Any:
            return compile_model(core, model, device, {**config, "INFERENCE_NUM_THREADS": count})

        monkeypatch.setattr(openvino.Core, "compile_model", limited)
        torch.set_num_threads(count)

    import torch

    before = torch.get_num_threads()
    yield use
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("opset", "simplified", "converter", "count"),
    [pytest.param(*one, marks=[] if is_quick(*one) else pytest.mark.slow) for one in VARIATIONS],
    ids=lambda value: str(value),
)
def test_it_passes(
    tiny_recipe: Any,
    pictures: list[Picture],
    checkpoint_of_seed: Callable[[int], Path],
    threads: Callable[[int], None],
    tmp_path: Path,
    opset: int,
    simplified: bool,
    converter: str,
    count: int,
) -> None:
    seed = VARIATIONS.index((opset, simplified, converter, count))
    recipe = tiny_recipe(opset=opset)
    original = load(recipe, {"tiny.pth": checkpoint_of_seed(seed)})
    graph = tmp_path / "exported.onnx"
    export(recipe, original, graph)
    if simplified:
        images = [picture.for_original(recipe.input) for picture in pictures]
        graph, source = tmp_path / "simplified.onnx", graph
        simplify(source, graph, original.heads, recipe.input.name, images)
    irs = {precision: tmp_path / precision / "tiny.xml" for precision in ("FP32", "FP16")}
    if converter == "model optimizer":
        convert(recipe, graph, irs, {})
    else:
        by_preprocessor(recipe, graph, irs)
    threads(count)
    ours = converter == "model optimizer"
    candidates = [
        Candidate(
            "ir", precision, "CPU", False,
            lambda path=path: OpenvinoRunner(path, "CPU", original.heads.names), original.tensors,
            promises=partial(promises_of, recipe, precision, path, STATIC, ready=not ours),
        )
        for precision, path in irs.items()
    ]  # fmt: skip
    result = verify(recipe, original, candidates, pictures)
    assert result.verdict == "pass", "\n".join(
        str(told(check)) for check in result.checks if check.status != "pass"
    )
    for precision in irs:
        judged = [check for check in result.checks if (check.hop, check.precision) == ("ir", precision)]
        assert {check.level for check in judged} == {"contract", "heads", "detections"}
    assert result.reference_detections > 5


def told(check: Check) -> tuple[Any, ...]:
    return check.precision, check.input, check.output, check.metric, check.value, check.limit, check.reason


def test_the_weights_differ(checkpoint_of_seed: Callable[[int], Path], tiny_recipe: Any) -> None:
    first, second = (load(tiny_recipe(), {"tiny.pth": checkpoint_of_seed(seed)}) for seed in (0, 1))
    image = np.ones((1, 3, 48, 64), np.float32)
    assert (
        np.abs(
            first.run(image, "picture")["class_logits"] - second.run(image, "picture")["class_logits"]
        ).max()
        > 0.1
    )
