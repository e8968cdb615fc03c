"""Stand-ins: the source files of a recipe made from a seed, where the published ones are not to be had.

They have the container and the layout of the real files, and weights under which pictures have a
realistic number of detections. So the whole way from fetch to manifest can be taken without a
download. What they detect means nothing.
"""

import importlib
from pathlib import Path

from ssdconvert.errors import RecipeError
from ssdconvert.recipe import Recipe

# source.kind -> the module whose `write_files(recipe, folder)` makes its files
WRITERS = {
    "pytorch": "ssdconvert.stand_in.pytorch",
}


def make_stand_in(recipe: Recipe, folder: Path) -> None:
    """Write the files of `recipe.source` under their names into `folder`: the same bytes every time.

    Raises RecipeError for a source of which no stand-in can be made.
    """
    kind = recipe.source.kind
    if kind not in WRITERS:
        raise RecipeError(
            f"{recipe.name}: no stand-in can be made of a source of kind {kind}",
            hint=f"kinds with stand-ins: {', '.join(WRITERS)}; for others put the files into --mirror",
            stage="stand-in",
        )
    importlib.import_module(WRITERS[kind]).write_files(recipe, folder)
