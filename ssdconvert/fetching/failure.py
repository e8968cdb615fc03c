"""What is said when a file could not be had: what was expected, what was tried, and how to get it by hand."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from ssdconvert.errors import FetchError
from ssdconvert.fetching.addresses import is_web, origins, shown
from ssdconvert.fetching.expected import Expected
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import File
from ssdconvert.url_secrets import HIDDEN


def not_had(
    recipe: Recipe,
    file: File,
    expected: Expected,
    target: Path,
    tried: Sequence[tuple[str, str]],
    options: FetchOptions,
) -> FetchError:
    """Return the failure to fetch a file; `tried` are addresses, each with what is wrong there."""
    told = [f"{shown(address)}: {reason}" for address, reason in tried] or [
        "there is nowhere to fetch it from"
    ]
    lines = [f"{file.name} of {recipe.name} could not be had", *(f"  {line}" for line in told)]
    lines += [f"  expected: {expected.told}", f"  target: {target}"]
    return FetchError("\n".join(lines), hint=_hint(recipe, file, expected, target, options))


def not_imported(
    recipe: Recipe, file: File, expected: Expected, bundle: str, reason: str, target: Path
) -> FetchError:
    """Return the failure to take a file from a bundle; `reason` holds what was expected and what is there."""
    anew = f"write the bundle anew where there is a network: ssdconvert fetch {recipe.name} --bundle FILE.tar"
    if expected.remembered:
        anew = f"the digest of what was first fetched is in {target.parent / 'lock.json'}; if the new file is right, "
        anew += "write its sha256 into the recipe"
    return FetchError(f"{file.name} of {recipe.name} in {bundle} {reason}\n  target: {target}", hint=anew)


def by_hand(url: str, target: Path, expected: Expected) -> str:
    """Return the command line that fetches a URL to where it is looked for.

    Where neither a size nor a digest tells a part from the whole, a part never has the name that is looked for.
    """
    path, part = (shlex.quote(f"{target}{end}") for end in ("", ".part"))
    whole = expected.decided or expected.size is not None
    command = (
        f"curl --fail --location --create-dirs --output {path if whole else part} {shlex.quote(shown(url))}"
    )
    return command if whole else f"{command} && mv {part} {path}"


def _hint(recipe: Recipe, file: File, expected: Expected, target: Path, options: FetchOptions) -> str:
    web = [url for url in (*file.urls, *origins(recipe, file, options.mirror)) if is_web(url)]
    place = f"put it at {target}, or at MIRROR/{recipe.name}/{file.name} and give --mirror MIRROR"
    if not web:
        return place
    if options.offline:
        return f"drop --offline, or {place}"
    checked = "checked all the same" if expected.decided else "taken on trust"
    secrets = "" if shown(web[0]) == web[0] else f"; {HIDDEN} stands for what is secret"
    command = by_hand(web[0], target, expected)
    return f"fetch it by hand and run the same command again; it is {checked}{secrets}:\n  {command}"
