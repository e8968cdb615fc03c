"""What a build has made to judge: every file on the way to the IR, each IR on each device, published twins."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from ssdconvert.build_plan import Plan, not_for_myriad
from ssdconvert.candidate import Candidate, Pair, simulation_of
from ssdconvert.devices import Machine
from ssdconvert.errors import MissingDevice
from ssdconvert.ir_contract import promises_of
from ssdconvert.ir_rounding import broken_rounding
from ssdconvert.myriad import FACTS, PRECISION, TOOLCHAIN, files_for_myriad, is_myriad, read_compiled
from ssdconvert.openvino_converter import resized_tensor
from ssdconvert.originals import Original
from ssdconvert.outputs import STATIC, TAILS
from ssdconvert.recipe_source import CaffeSource
from ssdconvert.runners import Runner
from ssdconvert.runners.inner_tensors import InnerTensors, OnnxTensors, OpenvinoTensors, named_by_operation
from ssdconvert.runners.onnx_runner import OnnxRunner
from ssdconvert.runners.openvino_runner import OpenvinoRunner
from ssdconvert.runners.toolchain_runner import ToolchainRunner
from ssdconvert.ssd.heads import CLASS_PROBABILITIES, DECODED_BOXES, HeadTensor
from ssdconvert.toolchains.call import Toolchain
from ssdconvert.toolchains.environment import find
from ssdconvert.workspace import EXPORTED

NOT_MADE = "recipes of PyTorch and ONNX models in floating point can be made for MYRIAD"
REFUSED = "leave the device out, or correct in the model what the message names"


def candidates_of(
    plan: Plan,
    original: Original,
    folder: Path,
    machines: Sequence[Machine],
    evidence: Path | None = None,
    toolchains: Sequence[Toolchain] = (),
) -> Iterator[Candidate]:
    """Yield what a build has made in `folder`, in the order in which it was made, and a published twin.

    Sticks run an IR of their own: where `machines` are sticks alone, the others are judged on the CPU.
    """
    before = original.inner(folder / EXPORTED) if original.inner else None
    if plan.through_onnx:
        for hop, path in (("onnx", folder / EXPORTED), ("simplified", folder / plan.onnx)):
            inner = OnnxTensors(path, original.heads.names, original.quantised)
            yield _graph(hop, plan, original, path, (before, inner) if before else None)
            before = inner
    sticks = [machine for machine in machines if is_myriad(machine.device)]
    others = [machine for machine in machines if machine not in sticks]
    if sticks and not others:
        others = [Machine()]
    for precision, relative in plan.irs.items():
        for machine in others:
            candidate = ir_candidate(plan, original, precision, folder, relative, machine, before)
            yield from candidate.also_in(toolchains)
    for machine in sticks:
        yield from _on_myriad(plan, original, folder, machine)
    if isinstance(plan.recipe.source, CaffeSource) and plan.recipe.source.twin and evidence:
        names = plan.recipe.source.twin.scores, plan.recipe.source.twin.boxes
        tensors = {
            ours: HeadTensor(theirs)
            for ours, theirs in zip((CLASS_PROBABILITIES, DECODED_BOXES), names, strict=True)
        }
        yield Candidate("twin", "FP32", "CPU", True, lambda: OnnxRunner(evidence), tensors, None)


def _graph(hop: str, plan: Plan, original: Original, path: Path, inner: Pair | None) -> Candidate:
    tensors = original.our_tensors
    return Candidate(
        hop,
        plan.reference_precision,
        "CPU",
        True,
        lambda: OnnxRunner(path, list(tensors), exact=original.quantised),
        tensors,
        STATIC if plan.tail == "nms" else None,
        inner=inner,
    )


def ir_candidate(
    plan: Plan,
    original: Original,
    precision: str,
    folder: Path,
    relative: str,
    machine: Machine,
    before: InnerTensors | None,
) -> Candidate:
    """Return an IR: one that ssdconvert made has the heads by our names, a ready one by its own."""
    tensors, form = original.tensors_in_ir, original.form_in_ir(plan.tail)
    path, device = folder / relative, machine.device
    names = [tensor.name for tensor in tensors.values()]
    ready = plan.recipe.source.kind == "ir" and precision == plan.reference_precision

    inside = resized_tensor(plan.recipe.input) if plan.bake == "image" else ""
    extra = [*names, *filter(None, [inside])]

    def opened() -> Runner:
        return OpenvinoRunner(path, device, extra, original.prepare, settings=machine.settings)

    def opened_in(toolchain: Toolchain) -> Runner:
        return ToolchainRunner(toolchain, path, device, extra, original.prepare, machine.settings)

    shown = precision == plan.precisions[0]
    prepare = (lambda model: None) if plan.through_onnx else named_by_operation
    inner = (before, OpenvinoTensors(path, device, prepare, settings=machine.settings)) if before else None

    def promises() -> Mapping[str, Sequence[str]]:
        recipe = plan.recipe
        heads = original.head_shapes(recipe.classes)
        kept = promises_of(recipe, precision, path, form, recipe.source.kind == "ir", heads, plan.bake)
        full = folder / plan.irs["FP32"] if "FP32" in plan.irs else None
        if (
            precision == "FP16"
            and full
            and full.exists()
            and recipe.source.kind != "ir"
            and not kept["whole"]
        ):
            kept["rounding"] = broken_rounding(full, path)
        return kept

    simulated = simulation_of(path, precision, device, names, original.prepare)
    return Candidate(
        "ir", precision, device, False, opened, tensors, form, ready, shown, inner, promises,
        simulated=simulated, open_in=opened_in, resized=inside,
    )  # fmt: skip


def _on_myriad(plan: Plan, original: Original, folder: Path, machine: Machine) -> Iterator[Candidate]:
    """Yield the IR v10 on the stick; before it, as it runs on the CPU of the same OpenVINO.

    Where there is no stick, the reason tells what was shown without it.
    """
    xml = folder / files_for_myriad(plan.recipe.name)[0]
    tensors, form = original.our_tensors, TAILS["detection-output"]

    def opened(where: Machine) -> Runner:
        return ToolchainRunner(find(TOOLCHAIN), xml, where.device, list(tensors), settings=where.settings)

    def promises() -> Mapping[str, Sequence[str]]:
        compiled = read_compiled(folder / FACTS)
        kept = promises_of(plan.recipe, PRECISION, xml, form, ready=True, own_tail=True)
        return kept | {"compiles for MYRIAD": [] if compiled.blob else [compiled.problem]}

    def opened_on_stick() -> Runner:
        reason = not_for_myriad(plan)
        if reason:
            raise MissingDevice(f"not made for {machine.device}: {reason}", hint=NOT_MADE)
        find(TOOLCHAIN)
        if not xml.exists():
            raise MissingDevice(read_compiled(folder / FACTS).shown(""), hint=REFUSED)
        try:
            return opened(machine)
        except MissingDevice as error:
            raise MissingDevice(
                read_compiled(folder / FACTS).shown(error.message), hint=error.hint
            ) from error

    if xml.exists():
        yield Candidate(
            "myriad", PRECISION, "CPU", False, partial(opened, Machine()), tensors, form, promises=promises,
            toolchain=TOOLCHAIN,
        )  # fmt: skip
    yield Candidate(
        "ir", PRECISION, machine.device, False, opened_on_stick, tensors, form, toolchain=TOOLCHAIN
    )
