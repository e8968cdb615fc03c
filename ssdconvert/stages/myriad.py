"""Compile for MYRIAD: IR v10 with a DetectionOutput, by the Model Optimizer of 2021.4.2, and the blob of it.

A blob shows that the stick's compiler takes every operation. It does not show what a stick computes.
"""

import os
from pathlib import Path

from ssdconvert.errors import ConversionError, EngineFailure
from ssdconvert.ir_contract import check_ready_ir
from ssdconvert.model_optimizer import preprocessing_request
from ssdconvert.myriad import (
    FACTS,
    PRECISION,
    TOOLCHAIN,
    Compiled,
    delete_for_myriad,
    files_for_myriad,
)
from ssdconvert.onnx_graph import keep_what_leads_to
from ssdconvert.originals import Original
from ssdconvert.recipe import Recipe
from ssdconvert.tails.detection_output import LEGACY, add_detection_output
from ssdconvert.temporary_folders import temporary_folder_beside
from ssdconvert.toolchains.environment import find
from ssdconvert.toolchains.session import Session

CONVERTING, COMPILING = 1200.0, 1200.0  # seconds: Model Optimizer of 2021 takes its time


def compile_for_myriad(recipe: Recipe, original: Original, graph: Path, folder: Path) -> str:
    """Write IR v10 and blob of an ONNX graph that holds the heads into the build's `folder`; return what was done.

    No blob is left where the stick's compiler refuses the model, and no IR where Model Optimizer does: that is told
    in `Compiled`, and verify judges by it. Raises MissingDevice without the toolchain.
    """
    import onnx

    session = find(TOOLCHAIN).session("myriad")
    xml, weights, blob = (folder.absolute() / path for path in files_for_myriad(recipe.name))
    delete_for_myriad(recipe.name, folder)
    model = onnx.load(graph)
    keep_what_leads_to(model.graph, original.heads.names)
    add_detection_output(
        model, original.heads, original.default_boxes, recipe.classes, recipe.detections, LEGACY
    )
    with temporary_folder_beside(xml.parent) as temporary:
        source = temporary / "heads.onnx"
        onnx.save(model, source)
        try:
            _convert(session, recipe, source, temporary / xml.name)
            check_ready_ir(recipe, PRECISION, temporary / xml.name)
            told = _compile(session, temporary / xml.name, temporary / blob.name)
        except EngineFailure:
            raise  # which may go well next time
        except ConversionError as error:
            told = Compiled(0, (), 0, error.message.replace(f"{temporary}{os.sep}", ""))
        made = [weights, xml] if told.operations else []
        for path in [*made, blob] if told.blob else made:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(temporary / path.name, path)
    told.write(folder / FACTS)
    if not told.operations:
        return f"no IR v10: {told.problem}"
    blob_told = f"blob {told.blob / 1e6:.1f} MB" if told.blob else f"no blob: {told.problem}"
    return f"IR v10, {told.operations} operations, {blob_told}"


def _convert(session: Session, recipe: Recipe, source: Path, target: Path) -> None:
    """Write IR v10, FP16."""
    request = {"source": str(source), "output": str(target)} | preprocessing_request(recipe)
    session.ask("convert_to_ir_v10", request, CONVERTING)


def _compile(session: Session, xml: Path, blob: Path) -> Compiled:
    """Ask the stick's plugin for the operations that it knows, and its compiler for a blob."""
    asked = session.ask("query", {"path": str(xml), "device": "MYRIAD"}, CONVERTING)
    made = session.ask("compile_blob", {"path": str(xml), "blob": str(blob)}, COMPILING)
    return Compiled(asked["operations"], tuple(asked["unsupported"]), made["bytes"], made["problem"])
