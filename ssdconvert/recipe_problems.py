"""Turns pydantic's errors into problems of a recipe file: line, path to the key, what was expected."""

import difflib
import json
from collections.abc import Iterable, Iterator
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from ssdconvert.recipe_yaml import Problem

Location = tuple[int | str, ...]  # a path to a key, as pydantic gives it

MEANING_OF_PATTERN = {
    r"^[a-z0-9][a-z0-9._-]*$": "lower-case letters, digits, '-', '_', '.', a letter or digit first",
    r"^[0-9a-f]{64}$": "64 lower-case hexadecimal digits",
    r"^[0-9a-f]{96}$": "96 lower-case hexadecimal digits",
    r"^https?://\S+$": "an http or https URL",
    r"^((https?|file)://|package:)\S+$": "an http, https or file URL, or package:RELATIVE/PATH",
}

EXPECTED = {
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "float_type": "a number",
    "finite_number": "a finite number",
    "tuple_type": "a list",
    "too_short": "at least {min_length} item(s)",
    "too_long": "at most {max_length} item(s)",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "literal_error": "{expected}",
    "union_tag_invalid": "{expected_tags}",
    "value_error": "{error}",
}


def schema_problems(
    errors: Iterable[ErrorDetails], root: yaml.MappingNode, model: type[BaseModel]
) -> Iterator[Problem]:
    """Turn the errors of validating the data of `root` as a `model` into problems."""
    phrases: dict[tuple[int, str], list[str]] = {}  # several where a value may be of several types
    found: dict[tuple[int, str], str] = {}
    for error in errors:
        kind, location, value = error["type"], error["loc"], error["input"]
        if kind.startswith("union_tag"):
            location, value = (*location, "kind"), value.get("kind")
        if kind == "too_short" and len(value) >= error["ctx"]["min_length"]:
            continue  # pydantic counts good items only, and the bad ones are reported
        place = _place(root, location, kind)
        if kind in ("missing", "union_tag_not_found"):
            yield *place, "required, and missing"
        elif kind == "extra_forbidden":
            yield *place, f"unknown key, {_meant(location, model)}"
        else:
            phrases.setdefault(place, []).append(_expectation(error))
            found[place] = (
                "" if kind == "value_error" and isinstance(value, dict | list) else f", got {_shown(value)}"
            )
    for place, expected in phrases.items():
        yield *place, f"expected {' or '.join(expected)}{found[place]}"


def _expectation(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    if error["type"] == "string_pattern_mismatch":
        return MEANING_OF_PATTERN[context["pattern"]]
    return EXPECTED[error["type"]].format(**context) if error["type"] in EXPECTED else error["msg"]


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else f"a list of {len(value)}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _place(root: yaml.Node, location: Location, kind: str) -> tuple[int, str]:
    """Return the line and the path; what is not in the file (a missing key) has its parent's line."""
    node, line, path = root, root.start_mark.line + 1, ""
    for depth, part in enumerate(location, start=1):
        if isinstance(node, yaml.MappingNode):
            below = [(key.start_mark, value) for key, value in node.value if key.value == part]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            below = [(value.start_mark, value) for value in node.value[part : part + 1]]
        else:
            below = []
        if below:
            mark, node = below[-1]
            line = mark.line + 1
        if below or (
            depth == len(location) and kind in ("missing", "extra_forbidden", "union_tag_not_found")
        ):
            path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return line, path.lstrip(".")


def _meant(location: Location, model: type[BaseModel]) -> str:
    """Return what to write instead of the unknown key that ends `location`."""
    models = [model]
    for part in location[:-1]:
        inner = [m.model_fields[part].annotation for m in models if part in m.model_fields]
        models = [m for annotation in inner for m in _models_in(annotation)] or models
        models = [
            m
            for m in models
            if "kind" in m.model_fields and part in get_args(m.model_fields["kind"].annotation)
        ] or models
    known = [field.alias or key for m in models for key, field in m.model_fields.items()]
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]
