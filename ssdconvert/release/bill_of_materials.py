"""What a build is made of, as a CycloneDX 1.6 bill of materials for machine learning (ML-BOM).

The model is one component: its model card, its licence, its files with their digests, and the original as its
ancestor. The other components are the tools that took part. cyclonedx-python-lib has no model cards, so that the JSON
is written here; tests hold it against the official schema.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ssdconvert.recipe import Recipe
from ssdconvert.recipe_rows import rows
from ssdconvert.release.licences import SPDX
from ssdconvert.release.names import VERDICT
from ssdconvert.release.provenance import asked_for, tools_of, web_urls
from ssdconvert.report.result import SHIPPED, Verification, describe
from ssdconvert.report.words import worst_checks

SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
NAMESPACE = uuid.UUID("8f3c0f26-5a41-5f0e-9b9e-6f2f8f6f3f10")  # of the serial numbers of our documents
FRAMEWORKS = ("torch", "onnx", "onnxruntime", "openvino")


def bill_of_materials(
    manifest: Mapping[str, Any], manifest_sha256: str, recipe: Recipe, verification: Verification | None
) -> dict[str, Any]:
    """Return the bill of what a manifest lists; the same manifest has the same serial number."""
    tools = [_tool(uri, name, version) for uri, (name, version) in tools_of(manifest).items()]
    own = [tool for tool in tools if tool["name"] == "ssdconvert"]
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, manifest_sha256)}",
        "version": 1,
        "metadata": {
            "tools": {"components": [{**tool, "bom-ref": f"by:{tool['bom-ref']}"} for tool in own]},
            "component": _model(manifest, recipe, verification),
            "properties": [{"name": VERDICT, "value": manifest["verdict"]}],
        },
        "components": tools,
        "dependencies": [
            {"ref": "model", "dependsOn": [tool["bom-ref"] for tool in tools]},
        ],
    }


def _model(manifest: Mapping[str, Any], recipe: Recipe, verification: Verification | None) -> dict[str, Any]:
    return {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": recipe.name,
        "version": manifest["recipe"]["sha256"][:12],  # of the recipe: nothing else numbers a conversion
        "description": recipe.title,
        "licenses": [_licence(recipe.licence)],
        **_website(recipe),
        "components": [
            {
                "type": "file",
                "bom-ref": f"file:{entry['path']}",
                "name": entry["path"],
                "hashes": [{"alg": "SHA-256", "content": entry["sha256"]}],
            }
            for entry in manifest["artifacts"]
        ],
        "pedigree": {
            "ancestors": [_original(manifest, recipe)],
            "notes": "converted by ssdconvert, which compared it with the original: see the model card's metrics",
        },
        "modelCard": _model_card(manifest, recipe, verification),
    }


def _original(manifest: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Return the component that was converted, a file of it each in its own digest."""
    files = []
    for entry in manifest["sources"]:
        urls = web_urls(recipe, entry["name"])
        files.append(
            {
                "type": "file",
                "bom-ref": f"original:{entry['name']}",
                "name": entry["name"],
                "hashes": [{"alg": "SHA-256", "content": entry["sha256"]}],
                **(
                    {"externalReferences": [{"type": "distribution", "url": u} for u in urls]} if urls else {}
                ),
            }
        )
    return {
        "type": "machine-learning-model",
        "bom-ref": "original",
        "name": f"{recipe.name} (original, {recipe.source.kind})",
        "licenses": [_licence(recipe.licence)],
        **_website(recipe),
        "components": files,
    }


def _model_card(
    manifest: Mapping[str, Any], recipe: Recipe, verification: Verification | None
) -> dict[str, Any]:
    asked = asked_for(manifest)
    told = {name: cell for name, _, cell in rows(recipe, asked["tail"] or "nms", asked["bake"])}
    metrics = [*_published(recipe), *_measured(manifest, verification)]
    limitations = [*recipe.notes]
    if recipe.is_stand_in:
        limitations.insert(0, "STAND-IN: the weights come from a seed and detect nothing real")
    return {
        "modelParameters": {
            "task": "object-detection",
            "architectureFamily": "single-shot detector",
            "modelArchitecture": getattr(recipe.source, "network", None) or recipe.title,
            "inputs": [{"format": f"{told['input']}, {told['colour']}, {told['values']}"}],
            "outputs": [{"format": told["outputs"]}],
        },
        **({"quantitativeAnalysis": {"performanceMetrics": metrics}} if metrics else {}),
        **({"considerations": {"technicalLimitations": limitations}} if limitations else {}),
    }


def _published(recipe: Recipe) -> Iterator[dict[str, str]]:
    for accuracy in recipe.accuracy:
        yield {
            "type": accuracy.metric,
            "value": f"{accuracy.value:g}",
            "slice": f"the original, by {accuracy.by} ({accuracy.source})",
        }


def _measured(manifest: Mapping[str, Any], verification: Verification | None) -> Iterator[dict[str, str]]:
    """Yield the gate's worst number of each measurement of each IR that is listed."""
    listed = {entry["precision"] for entry in manifest["artifacts"]}
    for check in worst_checks(verification.checks if verification else ()):
        if (
            check.hop in SHIPPED
            and check.precision in listed
            and check.value is not None
            and check.limit is not None
        ):
            yield {
                "type": f"{check.output} {check.metric}".strip(),
                "value": f"{check.value:.6g}",
                "slice": f"{describe(check.candidate)}: {check.status}, limit {check.limit:g}, worst on {check.input}",
            }


def _tool(uri: str, name: str, version: str) -> dict[str, Any]:
    kind = "application" if name == "ssdconvert" else "framework" if name in FRAMEWORKS else "library"
    return {"type": kind, "bom-ref": uri, "name": name, "version": version, "purl": uri}


def _licence(licence: str) -> dict[str, Any]:
    """Return a licence by its SPDX identifier where it is one that we know, else by its name."""
    return {"license": {"id": licence} if licence in SPDX else {"name": licence}}


def _website(recipe: Recipe) -> dict[str, Sequence[Any]]:
    return {"externalReferences": [{"type": "website", "url": recipe.homepage}]} if recipe.homepage else {}
