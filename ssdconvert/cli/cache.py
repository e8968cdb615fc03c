"""`cache`: what is in the folder of fetched files, whether it is whole, and room in it."""

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssdconvert.cli.options import Settings, cache_option, output_options, recipe_options
from ssdconvert.errors import FetchError

if TYPE_CHECKING:
    from ssdconvert.catalog import Catalog
    from ssdconvert.fetching.cache_verification import Verified
    from ssdconvert.recipe import Recipe

CONTENTS = ".files/"  # where files have names by what is in them
COLOURS = {"ok": "green", "unpinned": "yellow", "damaged": "red"}


@click.group("cache", short_help="The fetched files: list, verify, prune.")
def cache_group() -> None:
    """List, check and remove the files that were fetched.

    They lie in the folder SSDCONVERT_CACHE, or in your cache folder, each at RECIPE/FILE; files with the same
    content are there once, whatever number of recipes they are of.
    """


@cache_group.command("list")
@cache_option
@recipe_options
@output_options
def list_cache(catalog: "Catalog", cache: Path, settings: Settings) -> None:
    """Show the files, what has not arrived whole, and how much room all of it takes."""
    from ssdconvert.fetching.cache_contents import CacheContents

    contents = CacheContents(cache)
    files, partials, rejected = (
        contents.files(),
        contents.partials(_recipes(catalog, settings)),
        contents.rejected(),
    )
    sharing = {file.inode: {other.recipe for other in files if other.inode == file.inode} for file in files}
    documents = [
        {
            "recipe": file.recipe,
            "name": file.name,
            "path": str(file.path),
            "bytes": file.bytes,
            "sha256": contents.sha256(file),
            "recipes": len(sharing[file.inode]),
            "last_used": _time(file.last_used).isoformat(timespec="seconds"),
        }
        for file in files
    ]
    document: dict[str, Any] = {
        "path": str(cache),
        "bytes": contents.bytes_on_disk(),
        "files": documents,
        "partial": [
            {"file": one.target, "path": str(one.partial.path), "bytes": one.bytes, "total": one.total}
            for one in partials
        ],
        "rejected": [{"path": str(one.path), "bytes": one.bytes} for one in rejected],
    }
    settings.result(_listing(document), document)


def _listing(document: dict[str, Any]) -> str:
    lines = [f"the cache {document['path']}"]
    names = [f"{file['recipe']}/{file['name']}" for file in document["files"]]
    width = max((len(name) for name in names), default=0)
    for name, file in zip(names, document["files"], strict=True):
        shared = f"  shared by {file['recipes']} recipes" if file["recipes"] > 1 else ""
        lines.append(
            f"  {name:{width}}  {_size(file['bytes']):>9}  sha256 {file['sha256'][:8]}...  "
            f"used {file['last_used'][:10]}{shared}"
        )
    for part in document["partial"]:
        total = f" of {_size(part['total'])}" if part["total"] else ""
        lines.append(f"  partial: {part['file'] or part['path']}, {_size(part['bytes'])}{total}")
    lines += [f"  rejected: {one['path']}, {_size(one['bytes'])}" for one in document["rejected"]]
    if len(lines) == 1:
        return f"{lines[0]} is empty: `ssdconvert fetch NAME` and `ssdconvert build NAME` fill it"
    count = len(names)
    lines.append(f"{count} file{'' if count == 1 else 's'}, {_size(document['bytes'])} on disk")
    if document["partial"] or document["rejected"]:
        lines.append("`ssdconvert cache prune` removes what is partial or rejected")
    return "\n".join(lines)


@cache_group.command("verify")
@cache_option
@recipe_options
@output_options
def verify_cache_command(catalog: "Catalog", cache: Path, settings: Settings) -> None:
    """Digest every file again; damaged ones are set aside, and fetched again when they are needed.

    Exits with 3 if a file is damaged. unpinned: neither a recipe nor an earlier fetch says what should be in it.
    """
    from ssdconvert.fetching.cache_verification import verify_cache

    verified = list(verify_cache(cache, _recipes(catalog, settings)))
    settings.result(_verified(cache, verified), [one.to_json() for one in verified])
    if any(one.status == "damaged" for one in verified):
        settings.progress("`ssdconvert fetch NAME` fetches again what was set aside")
        click.get_current_context().exit(FetchError.exit_code)


def _verified(cache: Path, verified: "list[Verified]") -> str:
    lines = []
    for one in verified:
        if one.status == "ok" and one.file.startswith(CONTENTS):
            continue  # one more name of a file that has its line already
        done = f"; {one.done}" if one.done else ""
        told = f"  {one.problem}{done}" if one.problem else ""
        lines.append(
            f"  {click.style(f'{one.status:8}', fg=COLOURS[one.status], bold=True)} {one.file}{told}"
        )
    damaged = sum(one.status == "damaged" for one in verified)
    lines.append(f"the cache {cache}: {len(verified)} names of files checked, {damaged} damaged")
    return "\n".join(lines)


@cache_group.command("prune")
@click.option(
    "--unused-for",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="Also the files of recipes that were not used for so long.",
)
@click.option("--dry-run", is_flag=True, help="Remove nothing, only tell.")
@cache_option
@output_options
def prune_cache_command(cache: Path, unused_for: float | None, dry_run: bool, settings: Settings) -> None:
    """Remove what nobody needs: rejected files, partial ones that nobody fetches now, contents of no recipe.

    Every file that a recipe has stays, unless --unused-for is given. Digests of unpinned files stay remembered.
    """
    from ssdconvert.fetching.cache_pruning import prune_cache

    removed = prune_cache(cache, unused_for, dry_run)
    freed = sum(one.freed for one in removed)
    verb = "would be removed" if dry_run else "removed"
    named = [one for one in removed if not one.file.startswith(CONTENTS)]
    lines = [f"  {verb}: {one.file} ({one.reason})" for one in named]
    if len(named) < len(removed):
        lines.append(f"  {verb}: {len(removed) - len(named)} names in {CONTENTS} (of no recipe)")
    if removed:
        lines.append(f"the cache {cache}: {_size(freed)} {'would be ' if dry_run else ''}freed")
    else:
        lines.append(f"the cache {cache}: nothing to remove")
    document = {"removed": [one.to_json() for one in removed], "freed": freed, "dry_run": dry_run}
    settings.result("\n".join(lines), document)


def _recipes(catalog: "Catalog", settings: Settings) -> "list[Recipe]":
    recipes = [entry.recipe for entry in catalog.all_entries()]
    for warning in catalog.warnings:
        settings.progress(f"warning: {warning}")
    return recipes


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
