"""How a build came to be, as an in-toto statement (Statement v1) with SLSA's provenance v1 as its predicate.

Everything follows from the manifest and the resolved recipe: no time, no place, no name of a machine. So it says what
was built from what and by which tools, and nothing about who ran it: that is what a signature is for.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import File
from ssdconvert.release.names import MANIFEST, REPORT
from ssdconvert.url_secrets import redacted

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:ssdconvert:build:v1"  # docs/release.md says what its parameters mean
BUILDER = "urn:ssdconvert:command-line"  # on whose machine it ran, nobody vouches for


def provenance_document(manifest: Mapping[str, Any], manifest_sha256: str, recipe: Recipe) -> dict[str, Any]:
    """Return the statement about what a manifest lists, and about the manifest itself."""
    subjects = [(entry["path"], entry["sha256"]) for entry in manifest["artifacts"]]
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            _resource(path, sha256) for path, sha256 in sorted([*subjects, (MANIFEST, manifest_sha256)])
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": asked_for(manifest),
                "internalParameters": {"code_sha256": manifest["code_sha256"]},
                "resolvedDependencies": [*_sources(manifest, recipe), *_tools(manifest)],
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"ssdconvert": manifest["tools"]["ssdconvert"]}},
                "byproducts": [
                    _resource(path, sha256) | {"annotations": {"verdict": manifest["verdict"]}}
                    for path, sha256 in subjects
                    if path == REPORT
                ],
            },
        },
    }


def asked_for(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a user asked a build for, as its manifest tells it."""
    convert, verify = manifest["stages"]["convert"], manifest["stages"]["verify"]
    precisions = dict.fromkeys(entry["precision"] for entry in manifest["artifacts"] if entry["precision"])
    return {
        "recipe": {"name": manifest["recipe"]["name"], "sha256": manifest["recipe"]["sha256"]},
        "stand_in": bool(manifest.get("stand_in")),
        "precisions": list(precisions),
        "tail": manifest.get("tail"),
        "converter": None if convert.get("ready") else convert.get("converter", "mo"),
        "bake": convert.get("bake", "values"),
        "devices": list(verify.get("devices", ())),
        "toolchains": sorted(verify.get("toolchains", ())),
    }


def purl(name: str, version: str) -> str:
    """Return the package URL of a distribution on PyPI."""
    return f"pkg:pypi/{name.lower().replace('_', '-')}@{quote(version, safe='')}"


def tools_of(manifest: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return name and version by package URL of all that took part, other OpenVINO versions included."""
    stages = manifest["stages"]
    pins = [manifest["tools"], stages["convert"].get("toolchain", {})]
    pins += stages["verify"].get("toolchains", {}).values()
    pins += [stages.get("myriad", {}).get(key, {}) for key in ("toolchain", "beside")]
    found = {
        purl(name, version): (name, version)
        for tools in pins
        for name, version in tools.items()
        if version != "not installed"
    }
    return dict(sorted(found.items()))


def web_urls(recipe: Recipe, name: str) -> list[str]:
    """Return where a file of a recipe is published, without secrets."""
    files = {file.name: file for file in recipe.source.published}
    file: File | None = files.get(name)
    return [redacted(url) for url in file.urls if "://" in url] if file else []


def _sources(manifest: Mapping[str, Any], recipe: Recipe) -> Iterator[dict[str, Any]]:
    for role, entries in (("original", manifest["sources"]), ("evidence", manifest["evidence"])):
        for entry in entries:
            urls = web_urls(recipe, entry["name"])
            yield {
                **_resource(entry["name"], entry["sha256"]),
                **({"uri": urls[0], "downloadLocation": urls[0]} if urls else {}),
                "annotations": {"role": role, "pinned": entry["pinned"], "bytes": entry["bytes"]},
            }


def _tools(manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for uri, (name, _) in tools_of(manifest).items():
        yield {"name": name, "uri": uri, "annotations": {"role": "tool"}}


def _resource(name: str, sha256: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": sha256}}
