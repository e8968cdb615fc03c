"""Writes docs/commands/ from the commands' own help, and docs/recipe.md from the schema of recipes.

    python docs/generate.py

`tests/cli/test_pages.py` fails while the pages are not what this writes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from documents import BESIDE, CODES, DOCUMENTS

from ssdconvert.cli import cli
from ssdconvert.recipe import recipe_schema
from ssdconvert.recipe_problems import MEANING_OF_PATTERN

DOCS = Path(__file__).resolve().parent
WIDTH = 100  # columns of help
MEANINGS = {
    0: "done and correct",
    1: "the model is wrong, or could not be shown to be right",
    2: "usage or recipe error",
    3: "fetch or integrity error",
    4: "load, export or conversion failed",
    5: "a device, a toolchain or a library that was asked for is missing",
    70: "a bug in ssdconvert",
    130: "interrupted",
}
VARIABLES = {
    "SSDCONVERT_TOOLCHAINS": "the folder of toolchains; default: the user's data folder",
    "NO_COLOR": "no colours, unless `--color always`",
    "GITHUB_STEP_SUMMARY": "the file that `build` and `verify` append their report to",
    "HTTP_PROXY, HTTPS_PROXY, NO_PROXY": "as everywhere: [fetch.md](../fetch.md)",
}
OPTION_VARIABLES = {
    "SSDCONVERT_CACHE": "stands for `--cache`",
    "SSDCONVERT_MIRROR": "stands for `--mirror`",
    "SSDCONVERT_OFFLINE": "stands for `--offline`, where it is `1`, `true` or `yes`",
    "SSDCONVERT_RECIPES": "stands for `--recipes`: folders, separated as in `PATH`",
}


def commands(
    group: click.Group, names: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command with its names, groups before what is in them."""
    for name, command in group.commands.items():
        yield (*names, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*names, name))


def command_pages() -> dict[str, str]:
    """Return the pages of docs/commands by name: one for each command of `ssdconvert`, groups whole, and a list."""
    pages: dict[str, list[str]] = {}
    for names, command in commands(cli):
        lines = pages.setdefault(f"{names[0]}.md", [GENERATED, ""])
        lines += command_section(names, command)
    texts = {name: "\n".join(lines).rstrip() + "\n" for name, lines in pages.items()}
    return texts | {"README.md": command_list()}


GENERATED = "<!-- Written by docs/generate.py from the command's help. -->"


def command_section(names: tuple[str, ...], command: click.Command) -> list[str]:
    """Return what is told of one command: its help, exit codes, variables and document."""
    name = " ".join(names)
    context = click.Context(
        command, info_name=f"ssdconvert {name}", terminal_width=WIDTH, help_option_names=["-h", "--help"]
    )
    lines = [f"{'#' * len(names)} ssdconvert {name}", "", "```text", command.get_help(context), "```", ""]
    codes = [f"{code} {MEANINGS[code]}" for code in CODES[name]]
    lines += [f"Exit codes: {'; '.join(codes)}. All: [exit-codes.md](../exit-codes.md).", ""]
    variables = [p.envvar for p in command.params if isinstance(p.envvar, str)]
    if variables:
        told = [f"`{variable}` {OPTION_VARIABLES[variable]}" for variable in sorted(variables)]
        lines += [f"Environment: {'; '.join(told)}.", ""]
    if name in DOCUMENTS:
        lines += ["With `--json`:", "", "```json", DOCUMENTS[name], "```", ""]
    if name in BESIDE:
        lines += [BESIDE[name], ""]
    return lines


def command_list() -> str:
    """Return the page that lists the commands, and what all of them have."""
    lines = [GENERATED, "", "# Commands", "", "| command | what it does |", "|---|---|"]
    lines += [
        f"| [{name}]({name}.md) | {command.get_short_help_str(200)} |"
        for name, command in cli.commands.items()
    ]
    lines += ["", "NAME is a recipe's name or the path of a recipe file. Each command has:", ""]
    common = [p for p in cli.commands["list"].params if isinstance(p, click.Option)]
    shared = [p for p in common if p.name in ("as_json", "quiet", "verbose", "log_format", "color")]
    lines += [f"* `{', '.join(p.opts)}`: {p.help or 'auto, always or never'}" for p in shared]
    lines += [
        "",
        "Results go to stdout, progress and errors to stderr. With `--json` a failure is a document, too:",
        "",
    ]
    lines += [
        "```json",
        '{"error": {"stage": "STAGE", "message": "WORDS", "hint": "WORDS", "exit_code": 3}}',
        "```",
    ]
    lines += [
        "",
        "Keys are stable; more may be added.",
        "",
        "## Environment",
        "",
        "| variable | meaning |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in (OPTION_VARIABLES | VARIABLES).items()]
    return "\n".join(lines) + "\n"


def recipe_page() -> str:
    """Return docs/recipe.md: each part of a recipe with its keys, in the order in which they are met."""
    schema = recipe_schema()
    parts = schema["$defs"]
    lines = [
        "<!-- Written by docs/generate.py from the schema of recipes: `ssdconvert schema`. -->",
        "",
        "# A recipe",
        "",
        "One YAML file, named NAME.yaml. A key that is not listed here is an error, told with its line. "
        "[add-a-model.md](add-a-model.md) shows how one is written; this is the shipped `ultraface-rfb-320.yaml`:",
        "",
        "```yaml",
        (DOCS.parent / "recipes" / "ultraface-rfb-320.yaml").read_text("utf-8").rstrip(),
        "```",
        "",
        *keys_table(schema),
    ]
    for name, part in in_order(schema, parts):
        lines += ["", f"## {name}", "", part["description"], "", *keys_table(part)]
    return "\n".join(lines) + "\n"


def in_order(schema: Any, parts: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the parts that a schema refers to, each once, before the parts that those refer to."""
    seen: list[str] = []

    def look(value: Any) -> None:
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            look(inner)
        if isinstance(value, dict) and "$ref" in value and value["$ref"].rpartition("/")[2] not in seen:
            seen.append(value["$ref"].rpartition("/")[2])

    look(schema["properties"])
    for name in seen:  # grows while it is gone through
        yield name, parts[name]
        look(parts[name]["properties"])


def keys_table(part: Any) -> list[str]:
    """Return the table of a part's keys."""
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, value in part["properties"].items():
        default = "**required**" if key in part.get("required", ()) else f"`{yaml_text(value['default'])}`"
        meaning = value.get("description") or "What this part says."
        lines.append(f"| `{key}` | {kind(value)} | {default} | {meaning} |")
    return lines


def kind(value: Any) -> str:
    """Say in words what a value may be."""
    for key in ("anyOf", "oneOf"):
        if key in value:
            return " or ".join(kind(one) for one in value[key])
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in value or "enum" in value:
        return ", ".join(f"`{one}`" for one in value.get("enum", [value.get("const")]))
    if value["type"] == "array":
        if "prefixItems" in value:
            return (
                f"list of {len(value['prefixItems'])}: {', '.join(kind(one) for one in value['prefixItems'])}"
            )
        return f"list of {kind(value['items'])}"
    if value["type"] == "object":
        inner = value.get("additionalProperties")
        names = value.get("propertyNames", {}).get("enum", ["name"])
        return f"mapping of {', '.join(names)} to {kind(inner) if isinstance(inner, dict) else 'values'}"
    if "pattern" in value:
        return f"text: {MEANING_OF_PATTERN[value['pattern']]}"
    names = {"string": "text", "boolean": "`true`, `false`", "null": "`null`", "integer": "whole number"}
    return " ".join([names.get(value["type"], value["type"]), *bounds(value)])


def bounds(value: Any) -> list[str]:
    """Return the limits of a number in words."""
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return [f"{sign} {value[key]}" for key, sign in words.items() if key in value]


def yaml_text(value: Any) -> str:
    """Return a default as it is written in a recipe."""
    if isinstance(value, list):
        return f"[{', '.join(str(one) for one in value)}]"
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def pages() -> dict[Path, str]:
    """Return every page that is written, by path."""
    texts = {DOCS / "commands" / name: text for name, text in command_pages().items()}
    return texts | {DOCS / "recipe.md": recipe_page()}


if __name__ == "__main__":
    written = pages()
    for stale in set((DOCS / "commands").glob("*.md")) - set(written):
        stale.unlink()
    for page, content in written.items():
        page.parent.mkdir(exist_ok=True)
        page.write_text(content, "utf-8")
