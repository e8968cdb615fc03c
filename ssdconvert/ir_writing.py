"""Writes the pair of files that an IR is: whole, checked, and never beside a half that is not its own."""

import os
from pathlib import Path
from typing import Any

from ssdconvert.errors import ConversionError
from ssdconvert.ir_contract import Shapes, check_ir
from ssdconvert.native_paths import native_path
from ssdconvert.outputs import OutputForm
from ssdconvert.recipe import Recipe
from ssdconvert.temporary_folders import temporary_folder_beside

ROOM = 1 << 20  # bytes: a disk on which a file was cut has less


def write_ir(
    model: Any,
    recipe: Recipe,
    precision: str,
    target: Path,
    form: OutputForm | None,
    heads: Shapes | None = None,
    bake: str = "values",
) -> None:
    """Write an openvino.Model, its weights in the precision already, and read it back against its recipe.

    Raises ConversionError where the file is not what was asked for, see `ir_contract.check_ir`, OSError where the
    disk is full.
    """
    import openvino

    with temporary_folder_beside(target.parent) as folder:
        temporary = folder / target.name
        try:
            with native_path(temporary) as path:
                openvino.save_model(model, path, compress_to_fp16=False)
            check_ir(recipe, precision, temporary, form, heads or {}, bake)
        except (ConversionError, RuntimeError):
            _refuse_full_disk(folder)
            raise
        put_ir(temporary, target)


def _refuse_full_disk(folder: Path) -> None:
    """Raise OSError where little more can be written: OpenVINO leaves a cut file then, and does not say so."""
    (folder / "room").write_bytes(bytes(ROOM))


def put_ir(temporary: Path, target: Path) -> None:
    """Move a pair of files to its place; an .xml is never beside weights that are not its own."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    os.replace(temporary.with_suffix(".bin"), target.with_suffix(".bin"))
    os.replace(temporary, target)
