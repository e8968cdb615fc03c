"""`fetch`: the files of recipes into the cache."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from ssdconvert.cli.fetch_progress import fetch_progress
from ssdconvert.cli.options import Settings, fetch_options, output_options, recipe_options

if TYPE_CHECKING:
    from ssdconvert.catalog import Catalog
    from ssdconvert.fetching.options import FetchOptions


@click.command("fetch", short_help="The files of recipes, checked, into the cache.")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("-j", "--jobs", type=click.IntRange(1, 64), default=4, show_default=True, help="Files at once.")
@fetch_options
@recipe_options
@output_options
def fetch_command(
    names: Sequence[str], jobs: int, catalog: "Catalog", fetching: "FetchOptions", settings: Settings
) -> None:
    """Get the files of recipes, checked against their sizes and digests, into the cache."""
    from ssdconvert.stages.fetch import fetch_all

    recipes = [catalog.find(name).recipe for name in names]
    wanted = [(recipe, file) for recipe in recipes for file in recipe.source.files]
    with fetch_progress(settings) as tell:
        fetched = fetch_all(wanted, replace(fetching, jobs=jobs, tell=tell))
    lines = [
        f"{file.path}  {file.bytes} bytes  sha256 {file.sha256}  (from {file.origin})" for file in fetched
    ]
    documents = [
        {
            "recipe": recipe.name,
            "name": file.name,
            "path": str(file.path),
            "sha256": file.sha256,
            "bytes": file.bytes,
            "origin": file.origin,
            "pinned": file.pinned,
        }
        for (recipe, _), file in zip(wanted, fetched, strict=True)
    ]
    settings.result("\n".join(lines), documents)
