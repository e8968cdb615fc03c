"""`list`, `show`, `schema`: what recipes there are, what one says, what one may say."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssdconvert.cli.options import Settings, cache_option, output_options, recipe_options

if TYPE_CHECKING:
    from ssdconvert.catalog import Catalog


@click.command("list", short_help="What recipes there are.")
@cache_option
@recipe_options
@output_options
def list_command(catalog: "Catalog", cache: Path, settings: Settings) -> None:
    """List the recipes: shipped, in --recipes folders, and of plug-ins."""
    documents: list[dict[str, Any]] = []
    for entry in catalog.all_entries():
        recipe = entry.recipe
        folder = cache / recipe.name
        files = [(folder / file.name, file.size) for file in recipe.source.files]
        documents.append(
            {
                "name": recipe.name,
                "kind": recipe.source.kind,
                "title": recipe.title,
                "input": list(recipe.input.shape),
                "classes": recipe.classes,
                "licence": recipe.licence,
                "cached": all(p.is_file() and size in (None, p.stat().st_size) for p, size in files),
                "built": _verdict(Path("build") / recipe.name / "manifest.json") == "pass",
            }
        )
    for warning in catalog.warnings:
        settings.progress(f"warning: {warning}")
    width = max((len(document["name"]) for document in documents), default=0)
    lines = [
        f"{d['name']:{width}}  {d['kind']:7}  {'{3}x{2}'.format(*d['input']):9}  "
        f"{'built' if d['built'] else 'cached' if d['cached'] else '':7} {d['title']}"
        for d in documents
    ]
    settings.result("\n".join(lines), documents)


@click.command("show", short_help="What a recipe says.")
@click.argument("name")
@recipe_options
@output_options
def show_command(name: str, catalog: "Catalog", settings: Settings) -> None:
    """Show a recipe: the original model, the converted model, and what a user must know."""
    from ssdconvert.cli.recipe_text import recipe_text

    entry = catalog.find(name)
    settings.result(recipe_text(entry), entry.recipe.model_dump(mode="json", by_alias=True))


@click.command("schema", short_help="What a recipe may say.")
@output_options
def schema_command(settings: Settings) -> None:
    """Print the JSON Schema of a recipe."""
    import json

    from ssdconvert.recipe import recipe_schema

    schema = recipe_schema()
    settings.result(json.dumps(schema, indent=2, ensure_ascii=False), schema)


def _verdict(manifest: Path) -> str | None:
    """Return the verdict in a build's manifest; None where there is no manifest."""
    import json

    try:
        verdict: str = json.loads(manifest.read_text("utf-8"))["verdict"]
    except (OSError, ValueError, KeyError):
        return None
    return verdict
