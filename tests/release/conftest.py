"""A build of a few kilobytes, made in code: documents as the manifest stage writes them, and IRs of rt_info alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest

from ssdconvert.fetching.options import Fetched
from ssdconvert.ir_description import description_of
from ssdconvert.recipe import Recipe
from ssdconvert.release.documents import recipe_entry, write_documents
from ssdconvert.release.resolved_recipe import resolved
from ssdconvert.report.result import Box, Check, Shown, Verification
from ssdconvert.stages.manifest import artefact_entries, manifest_document
from ssdconvert.workspace import Workspace, write_json

SHA256 = "ab" * 32
DOCUMENT: dict[str, Any] = {
    "schema": 1,
    "name": "tiny",
    "title": "a tiny detector",
    "licence": "MIT",
    "homepage": "https://example.com/tiny",
    "source": {
        "kind": "pytorch",
        "network": "ultraface",
        "files": [
            {"name": "tiny.pth", "urls": ["https://example.com/tiny.pth"], "size": 7, "sha256": SHA256}
        ],
    },
    "input": {
        "name": "picture",
        "shape": [1, 3, 48, 64],
        "color": {"model": "rgb"},
        "mean": [120, 110, 100],
        "resize": {"mode": "stretch", "filter": "bilinear", "library": "opencv"},
    },
    "detections": {
        "boxes": "xyxy",
        "units": "normalised",
        "labels": ["cat", "dog"],
        "score_threshold": 0.3,
        "iou_threshold": 0.4,
        "per_class": 100,
        "keep": 50,
    },
    "accuracy": [{"metric": "coco-map", "by": "its authors", "value": 0.5, "source": "a paper"}],
    "notes": ["Cats that look like dogs are dogs."],
}


def recipe_of(**changes: Any) -> Recipe:
    document = json.loads(json.dumps(DOCUMENT | changes))
    return Recipe.model_validate_json(json.dumps(document))


def a_check(precision: str, status: Any = "pass") -> Check:
    named = ("ir", "heads", "CPU", "openvino 2024.6.0", precision, "a.jpg", "scores", "max error / scale")
    return Check(*named, 0.00002, 0.0001, 0.00002, status)


def write_ir(folder: Path, recipe: Recipe, precision: str, sources: dict[str, str]) -> None:
    told = {**description_of(recipe, precision), "converter": "Model Optimizer 2024.6.0"}
    words = "".join(f"<{key} value={quoteattr(value, {chr(10): '&#10;'})}/>" for key, value in told.items())
    digests = "".join(f'<{name} value="{digest}"/>' for name, digest in sources.items())
    section = f"<ssdconvert>{words}<source_sha256>{digests}</source_sha256></ssdconvert>"
    (folder / precision).mkdir(exist_ok=True)
    xml = folder / precision / f"{recipe.name}.xml"
    xml.write_text(
        f'<?xml version="1.0"?>\n<net name="tiny"><layers/><rt_info>{section}</rt_info></net>\n', "utf-8"
    )
    xml.with_suffix(".bin").write_bytes(precision.encode() * 100)


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Path]:
    """Write a build of the tiny recipe, FP32 and FP16, into a folder, and return it."""

    def write(
        folder: str = "build",
        verdict: str = "pass",
        pinned: bool = True,
        stand_in: bool = False,
        **changes: Any,
    ) -> Path:
        recipe = recipe_of(**changes)
        recipe = recipe.stand_in() if stand_in else recipe
        workspace = Workspace(tmp_path / folder)
        place, fetched = workspace.folder, [Fetched("tiny.pth", Path("x"), SHA256, 7, "cache", pinned)]
        for precision in ("FP32", "FP16"):
            write_ir(place, recipe, precision, {"tiny.pth": SHA256})
        boxes = (Box(1, 0.5, (0.0, 0.0, 1.0, 1.0)),)
        verification = Verification(
            recipe.name,
            (a_check("FP32"), a_check("FP16", "pass" if verdict == "pass" else verdict)),
            "torch 2.13",
            ("a.jpg",),
            1,
            stand_in,
            (Shown("a.jpg", "FP32 IR", boxes, boxes),),
        )
        others = {
            f"{recipe.name}.onnx": b"onnx" * 50,
            "reference.png": b"png" * 30,
            "acceptance.npz": b"npz" * 20,
        }
        for name, content in others.items():
            (place / name).write_bytes(content)
        write_json(place / "report.json", verification.to_json())
        made = {f"{p}/{recipe.name}.{suffix}": p for p in ("FP32", "FP16") for suffix in ("xml", "bin")}
        plain = dict.fromkeys([*others, "report.json"])
        known = resolved(recipe, fetched)
        entries = [*artefact_entries(workspace, made | plain), recipe_entry(known)]
        gate = {"pictures": [["a.jpg", SHA256]], "devices": ["CPU"]}
        manifest = manifest_document(recipe, fetched, None, entries, verdict, "cd" * 32, gate, resolved=known)
        write_documents(place, manifest, known, verification)
        return place

    return write


@pytest.fixture
def tiny_recipe() -> Callable[..., Recipe]:
    return recipe_of


@pytest.fixture
def archive(tiny: Callable[..., Path], tmp_path: Path) -> Path:
    """The archive of the tiny build."""
    from ssdconvert.release.package import package

    return package(recipe_of(), tiny(), tmp_path / "tiny.tar").archive
