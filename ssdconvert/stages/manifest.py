"""Manifest: documents that tie artefacts to recipe, sources, tools and verdict. No time, no place.

Provenance, bill of materials and checksums follow from manifest.json: `ssdconvert.release` writes them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ssdconvert.fetching.options import Fetched
from ssdconvert.gate_limits import DEFAULT_LIMITS, limits_of
from ssdconvert.ir_description import RUN_CONFIGURATION
from ssdconvert.model_optimizer import conversion_arguments
from ssdconvert.myriad import FOLDER
from ssdconvert.myriad import TOOLCHAIN as MYRIAD
from ssdconvert.openvino_converter import TOOLCHAIN
from ssdconvert.recipe import Recipe, recipe_digest
from ssdconvert.toolchains import kind_of
from ssdconvert.versions import TOOLS, tool_versions
from ssdconvert.workspace import Workspace, digest_of

SCHEMA_VERSION = 1


def artefact_entries(workspace: Workspace, artefacts: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """Describe files (relative path -> weight precision or None) as the manifest and `build --json` do."""
    return [
        {
            "path": relative,
            "sha256": digest_of(workspace.path(relative)),
            "bytes": workspace.path(relative).stat().st_size,
            "precision": precision,
        }
        for relative, precision in artefacts.items()
    ]


def manifest_document(
    recipe: Recipe,
    files: Sequence[Fetched],
    evidence: Fetched | None,
    artefacts: Sequence[Mapping[str, Any]],
    verdict: str,
    code: str,
    gate: Mapping[str, Any],
    tail: str = "nms",
    converter: str = "mo",
    bake: str = "values",
    resolved: Recipe | None = None,
    quantised: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the manifest of a build.

    `resolved` is the recipe with digests of unpinned files, where there are any; `gate` is what verification
    was given beside the recipe, `tail` what was put behind converted heads, `converter` and `bake` are of
    `build_plan.CONVERTERS` and `BAKES`. `quantised` is how its 8 bits were made, and what they cost.
    """
    return {
        "schema": SCHEMA_VERSION,
        "recipe": {
            "name": recipe.name,
            "sha256": recipe_digest(recipe),
            "resolved_sha256": recipe_digest(resolved or recipe),
        },
        **({"stand_in": True} if recipe.is_stand_in else {}),
        **({} if recipe.source.keeps_outputs else {"tail": tail}),
        "sources": [_described(file) for file in files],
        "evidence": [_described(evidence)] if evidence else [],
        "tools": tool_versions((*TOOLS, "nncf") if quantised else TOOLS),
        "code_sha256": code,
        "stages": {
            **_conversion(recipe, converter, bake),
            **({"quantize": dict(quantised)} if quantised else {}),
            **_for_myriad(artefacts),
            "verify": {**gate, "limits": {p: asdict(limits_of(recipe, p)) for p in DEFAULT_LIMITS}},
        },
        "verdict": verdict,
        "run_configuration": dict(RUN_CONFIGURATION),
        "artifacts": [dict(entry) for entry in artefacts],
    }


def _described(file: Fetched) -> dict[str, Any]:
    return {"name": file.name, "sha256": file.sha256, "bytes": file.bytes, "pinned": file.pinned}


def _for_myriad(artefacts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what made the files for MYRIAD, where there are any."""
    if not any(entry["path"].startswith(f"{FOLDER}/") for entry in artefacts):
        return {}
    kind = kind_of(MYRIAD)
    return {"myriad": {"toolchain": kind.pins(), "beside": kind.pins_beside()}}


def _conversion(recipe: Recipe, converter: str, bake: str) -> dict[str, Any]:
    """Return what was asked of each tool on the way to the IR."""
    kind = recipe.source.kind
    if kind == "ir":
        return {"convert": {"ready": True}}
    arguments = conversion_arguments(recipe)
    if kind == "caffe":
        return {"convert": {**arguments, "toolchain": kind_of("caffe").pins()}}
    if converter == "openvino":
        arguments |= {"converter": converter, "bake": bake, "toolchain": kind_of(TOOLCHAIN).pins()}
    return {"export": {"opset": recipe.opset}, "convert": arguments}
