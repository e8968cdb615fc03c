"""`package`: verified builds as archives."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssdconvert.cli.options import Settings, output_options, precision_option, recipe_options
from ssdconvert.errors import RecipeError

if TYPE_CHECKING:
    from ssdconvert.catalog import Catalog
    from ssdconvert.release.package import Packed

PATH = click.Path(path_type=Path)


@click.command("package", short_help="A verified build as one archive.")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@precision_option
@click.option(
    "--output", type=PATH, metavar="FILE.tar|DIR", help="The archive, or the folder for it.  [default: release]"
)  # fmt: skip
@click.option("--build", type=PATH, metavar="DIR", help="Folder of the build.  [default: build/NAME]")
@click.option(
    "--allow-unpinned", is_flag=True, help="Pack models whose recipe has no digest of the original, too."
)
@click.option(
    "--key", type=PATH, metavar="PRIVATE_KEY", help="Sign it with this key (PEM, on an elliptic curve)."
)
@recipe_options
@output_options
def package_command(
    names: Sequence[str],
    precisions: Sequence[str],
    output: Path | None,
    build: Path | None,
    allow_unpinned: bool,
    key: Path | None,
    catalog: "Catalog",
    settings: Settings,
) -> None:
    """Write the archive of a build: models, evidence, licence, model card. The same build gives the same bytes.

    Refused are stand-ins, builds that are not verified or whose files changed since, and originals that no digest in
    the recipe pins. `ssdconvert check` is for those who get the archive.
    """
    from ssdconvert.release.package import package

    if len(names) > 1 and build is not None:
        raise RecipeError(
            "--build is one build, and several recipes are given", hint="package them one by one"
        )
    recipes = [catalog.find(name).recipe for name in names]
    archives = [_archive(output, recipe.name, len(recipes)) for recipe in recipes]
    asked = tuple(dict.fromkeys(precision.upper() for precision in precisions))
    packed = [
        package(recipe, build or Path("build") / recipe.name, archive, asked, allow_unpinned, key)
        for recipe, archive in zip(recipes, archives, strict=True)
    ]
    for one in packed:
        for warning in one.warnings:
            settings.progress(f"warning: {one.recipe}: {warning}")
    documents = [one.to_json() for one in packed]
    settings.result("\n".join(_line(one) for one in packed), documents if len(names) > 1 else documents[0])


def _archive(output: Path | None, name: str, count: int) -> Path:
    """Return where an archive goes: to a file that ends in .tar, or into a folder."""
    output = output or Path("release")
    if output.suffix != ".tar" or output.is_dir():
        return output / f"{name}.tar"
    if count > 1:
        raise RecipeError(
            f"--output {output} is one file, and several recipes are given", hint="give a folder"
        )
    return output


def _line(one: "Packed") -> str:
    signed = ", signed" if one.signed else ""
    return f"{one.archive}  {one.bytes} bytes  sha256 {one.sha256}  ({len(one.files)} files{signed})"
