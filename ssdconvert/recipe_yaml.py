"""Reads a recipe's YAML: plain data, and the nodes that know the line of every key.

Recipes come from other people, so the file's size, its depth and what its aliases expand to are limited.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from ssdconvert.errors import RecipeError

try:
    from yaml import CSafeDumper as SafeDumper
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML without libyaml
    from yaml import SafeDumper, SafeLoader  # type: ignore[assignment]

LARGEST_FILE = 1_000_000  # bytes
MOST_NODES = 50_000  # YAML nodes once aliases are expanded
DEEPEST = 20  # nested lists and mappings; libyaml's composer overflows the stack at some 10,000

Problem = tuple[int, str, str]  # line, path to the key, what was expected and what is there


def read_yaml(path: Path) -> tuple[yaml.MappingNode, Any, list[Problem]]:
    """Return the nodes, the plain data, and the keys that are there twice; RecipeError if it is no YAML."""
    return parse_yaml(_read(path), path)


def parse_yaml(content: bytes, path: Path) -> tuple[yaml.MappingNode, Any, list[Problem]]:
    """Return what `read_yaml` does, of what is in a file; `path` is how errors name it."""
    return _parse(_text(content, path), path)


def yaml_text(document: Any) -> str:
    """Return plain data as YAML that reads as the same data."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Loader(SafeLoader):
    """Safe YAML, and 1e-3 is a number (YAML 1.1 takes it for text and wants 1.0e-3)."""


class _Dumper(SafeDumper):
    """Safe YAML, in which text that the loader takes for a number is quoted."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write what is there twice twice."""
        return True


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
    )
YAML = "tag:yaml.org,2002:"
PLAIN_TAGS = {YAML + kind for kind in ("map", "seq", "str", "int", "float", "bool", "null", "merge")}


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_FILE + 1)
    except OSError as error:
        hint = "`ssdconvert list` prints the recipes that there are"
        raise RecipeError(f"{path}: cannot read the recipe: {error.strerror}", hint=hint) from None


def _text(content: bytes, path: Path) -> str:
    if len(content) > LARGEST_FILE:
        raise RecipeError(
            f"{path}: expected at most {LARGEST_FILE} bytes, got more", hint="is this a recipe?"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        message = f"{path}:{line}: expected UTF-8 text, got the byte 0x{content[error.start]:02x}"
        raise RecipeError(message, hint="save the file as UTF-8") from None


def _parse(text: str, path: Path) -> tuple[yaml.MappingNode, Any, list[Problem]]:
    try:
        _check_depth(text)
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise yaml.MarkedYAMLError(problem="the file is empty")
        if not isinstance(root, yaml.MappingNode):
            raise _fault("expected a mapping with the keys schema, name, ...", root)
        twice = _check_nodes(root)  # before construction, which changes the nodes where there is a `<<`
        return root, loader.construct_document(root), twice
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        message = f"{path}{place}: {', '.join(part for part in (error.context, error.problem) if part)}"
    except yaml.reader.ReaderError as error:
        message = f"{path}:{text.count(chr(10), 0, error.position) + 1}: {error.reason}"
    except (ValueError, LookupError) as error:  # `!!int x`
        message = f"{path}: a value does not fit its YAML tag: {error}"
    raise RecipeError(message, hint="a recipe is a YAML mapping; `ssdconvert show NAME` prints one")


def _fault(problem: str, place: yaml.Node | yaml.Event) -> yaml.MarkedYAMLError:
    mark: Any = place.start_mark  # libyaml's and PyYAML's own marks are two classes
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _check_depth(text: str) -> None:
    """Refuse deep nesting before composing: libyaml's composer recurses until the process dies."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise _fault(f"expected at most {DEEPEST} levels of lists and mappings, got more", event)


def _check_nodes(root: yaml.Node) -> list[Problem]:
    """Return the keys that are there twice; refuse other than plain data, and aliases that multiply."""
    twice: list[Problem] = []
    waiting, count = [(root, "", 0)], 0
    while waiting:
        node, path, depth = waiting.pop()
        count += 1
        if count > MOST_NODES or depth > DEEPEST:
            raise _fault(
                f"expected at most {MOST_NODES} values and {DEEPEST} levels, aliases expanded, got more", node
            )
        if node.tag not in PLAIN_TAGS:
            raise _fault(f"expected plain data, got {node.tag.removeprefix(YAML)}: put text in quotes", node)
        if isinstance(node, yaml.SequenceNode):
            waiting += [(item, f"{path}[{position}]", depth + 1) for position, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            first: dict[str, int] = {}
            for key, value in node.value:
                line, below = key.start_mark.line + 1, f"{path}.{key.value}".lstrip(".")
                if below in first:
                    twice.append((line, below, f"this key is there twice, first on line {first[below]}"))
                first.setdefault(below, line)
                waiting += [(key, below, depth + 1), (value, below, depth + 1)]
    return twice
