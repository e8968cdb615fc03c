"""`fetch`: the files of recipes into the cache."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ssdconvert.cli.options import Settings, fetch_options, output_options, recipe_options

if TYPE_CHECKING:
    from ssdconvert.catalog import Catalog
    from ssdconvert.fetching.options import FetchOptions


@click.command("fetch", short_help="The files of recipes, checked, into the cache.")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@fetch_options
@recipe_options
@output_options
def fetch_command(
    names: Sequence[str], catalog: "Catalog", fetching: "FetchOptions", settings: Settings
) -> None:
    """Get the files of recipes, checked against their sizes and digests, into the cache."""
    from ssdconvert.stages.fetch import fetch

    lines, documents = [], []
    for name in names:
        recipe = catalog.find(name).recipe
        for file in fetch(recipe, fetching):
            lines.append(f"{file.path}  {file.bytes} bytes  sha256 {file.sha256}  (from {file.origin})")
            documents.append(
                {
                    "recipe": recipe.name,
                    "name": file.name,
                    "path": str(file.path),
                    "sha256": file.sha256,
                    "bytes": file.bytes,
                    "origin": file.origin,
                    "pinned": file.pinned,
                }
            )
    settings.result("\n".join(lines), documents)
