"""Whether each IR says of itself what the manifest and the recipe say of it."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from ssdconvert.ir_description import description_of
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import IrSource
from ssdconvert.release.claims import Manifest
from ssdconvert.release.names import MANIFEST
from ssdconvert.release.reading import IR, Contents, Problem

# What every version writes into rt_info; the rest is compared where this version made the build.
EVER = (
    "recipe", "precision", "labels", "input_range", "input_color", "baked_model_color", "baked_mean", "baked_scale",
)  # fmt: skip


def disagreements_of_irs(contents: Contents, manifest: Manifest, recipe: Recipe) -> Iterator[Problem]:
    """Yield what the IRs of a build do not say as the manifest and the recipe do."""
    for entry in manifest.artifacts:
        if entry.precision != _precision(entry.path):
            told = f"{MANIFEST} says precision {entry.precision}, its folder {_precision(entry.path)}"
            yield Problem(entry.path, told)
        elif manifest.stages.convert.ready:
            yield from _of_published(entry.path, entry.sha256, manifest, recipe)
        elif entry.path in contents.descriptions:
            yield from _of_converted(entry.path, contents, manifest, recipe)
    if not any(IR.fullmatch(entry.path) for entry in manifest.artifacts):
        yield Problem(MANIFEST, "lists no IR")


def _precision(path: str) -> str | None:
    """Return the precision that a file has by its folder; MYRIAD computes in FP16 alone."""
    folder = path.partition("/")[0] if "/" in path else ""
    return {"MYRIAD": "FP16"}.get(folder, folder if folder in ("FP32", "FP16", "INT8") else None)


def _of_converted(path: str, contents: Contents, manifest: Manifest, recipe: Recipe) -> Iterator[Problem]:
    told = contents.descriptions[path]
    bake = manifest.stages.convert.bake
    for key, expected in description_of(recipe, PurePosixPath(path).parent.name, bake).items():
        actual = told.words.get(key)
        if actual != expected and (key in EVER or manifest.of_this_version):
            yield Problem(path, f"rt_info: {key}: expected {expected!r}, got {actual!r}")
    if "stand_in" in told.words and not recipe.is_stand_in:
        yield Problem(path, "rt_info: stand_in: expected weights that do not come from a seed")
    sources = {re.sub(r"[^A-Za-z0-9_.-]", "_", source.name): source.sha256 for source in manifest.sources}
    if told.sources != sources:
        yield Problem(path, f"rt_info: source_sha256: expected {sources}, got {told.sources}")


def _of_published(path: str, sha256: str, manifest: Manifest, recipe: Recipe) -> Iterator[Problem]:
    """A ready IR says nothing of us: it is the published file, byte for byte."""
    precision = _precision(path)
    if not isinstance(recipe.source, IrSource) or precision is None:
        return
    names = [
        name for name in recipe.source.pair(precision) or () if name.endswith(PurePosixPath(path).suffix)
    ]
    published = [source.sha256 for source in manifest.sources if source.name in names]
    if published != [sha256]:
        yield Problem(path, f"is not the published file: expected sha256 {published}, got {sha256}")
