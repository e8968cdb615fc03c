"""`fetch`: the files of recipes into the cache; which these are; files carried over in a bundle."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssdconvert.cli.fetch_progress import fetch_progress
from ssdconvert.cli.options import Settings, fetch_options, output_options, recipe_options

if TYPE_CHECKING:
    from ssdconvert.catalog import Catalog
    from ssdconvert.fetching.options import Fetched, FetchOptions
    from ssdconvert.recipe import Recipe

BUNDLE = click.Path(path_type=Path, dir_okay=False)


@click.command("fetch", short_help="The files of recipes, checked, into the cache.")
@click.argument("names", metavar="NAME...", nargs=-1)
@click.option("-j", "--jobs", type=click.IntRange(1, 64), default=4, show_default=True, help="Files at once.")
@click.option(
    "--print", "printed", is_flag=True, help="Fetch nothing: print URL, digest, bytes, RECIPE/FILE of each file."
)  # fmt: skip
@click.option("--bundle", type=BUNDLE, metavar="FILE.tar", help="Write the files into a tar file, too.")
@click.option(
    "--from-bundle", type=BUNDLE, metavar="FILE.tar", help="Take the files from such a tar file; no NAME: all of it."
)  # fmt: skip
@fetch_options
@recipe_options
@output_options
def fetch_command(
    names: Sequence[str],
    jobs: int,
    printed: bool,
    bundle: Path | None,
    from_bundle: Path | None,
    catalog: "Catalog",
    fetching: "FetchOptions",
    settings: Settings,
) -> None:
    """Get the files of recipes, checked against their sizes and digests, into the cache.

    --bundle writes them into one file to carry to a machine without a network, --from-bundle takes them from it there.
    """
    if printed + (bundle is not None) + (from_bundle is not None) > 1:
        raise click.UsageError("--print, --bundle and --from-bundle do not go together: give one of them")
    if not names and from_bundle is None:
        raise click.MissingParameter(param_type="argument", param_hint="'NAME...'")
    recipes = [catalog.find(name).recipe for name in names]
    if printed:
        _print(recipes, fetching, settings)
        return
    with fetch_progress(settings) as tell:
        fetching = replace(fetching, jobs=jobs, tell=tell)
        if bundle is not None:
            text, document = _bundled(recipes, bundle, fetching)
        elif from_bundle is not None:
            text, document = _unbundled(recipes, from_bundle, catalog, fetching, settings)
        else:
            text, document = _fetched(recipes, fetching)
    settings.result(text, document)


def _fetched(recipes: "Sequence[Recipe]", fetching: "FetchOptions") -> tuple[str, Any]:
    from ssdconvert.stages.fetch import fetch_all

    wanted = [(recipe, file) for recipe in recipes for file in recipe.source.files]
    fetched = fetch_all(wanted, fetching)
    return _told([(recipe, file) for (recipe, _), file in zip(wanted, fetched, strict=True)])


def _told(files: "Sequence[tuple[Recipe, Fetched]]") -> tuple[str, list[dict[str, Any]]]:
    """Return text and document of fetched files."""
    lines = [
        f"{file.path}  {file.bytes} bytes  sha256 {file.sha256}  (from {file.origin})" for _, file in files
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
        for recipe, file in files
    ]
    return "\n".join(lines), documents


def _print(recipes: "Sequence[Recipe]", fetching: "FetchOptions", settings: Settings) -> None:
    from ssdconvert.fetching.listing import listed

    files = list(listed(recipes, fetching))
    for file in files:
        if file.optional:
            settings.progress(f"{file.target} is optional: further evidence, which a build can go without")
    settings.result("\n".join(file.to_text() for file in files), [file.to_json() for file in files])


def _bundled(recipes: "Sequence[Recipe]", path: Path, fetching: "FetchOptions") -> tuple[str, Any]:
    from ssdconvert.file_bundles import bundled

    made = bundled(recipes, path, fetching)
    text, documents = _told(made.files)
    size, sha256 = made.content.size, made.content.digests["sha256"]
    text += f"\n{path}  {size} bytes  sha256 {sha256}  (bundle of {len(documents)} files)"
    return text, {"bundle": {"path": str(path), "sha256": sha256, "bytes": size}, "files": documents}


def _unbundled(
    recipes: "Sequence[Recipe]",
    path: Path,
    catalog: "Catalog",
    fetching: "FetchOptions",
    settings: Settings,
) -> tuple[str, Any]:
    from ssdconvert.file_bundles import all_unbundled, unbundled

    if recipes:
        return _told(unbundled(path, recipes, fetching, settings.progress))
    known = [entry.recipe for entry in catalog.all_entries()]
    for warning in catalog.warnings:
        settings.progress(f"warning: {warning}")
    return _told(all_unbundled(path, known, fetching, settings.progress))
