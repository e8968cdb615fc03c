import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssdconvert.errors import RecipeError
from ssdconvert.labels import COCO_80
from ssdconvert.recipe import Recipe, load_recipe, recipe_digest, recipe_schema
from ssdconvert.recipe_yaml import _Loader

GOOD = """\
schema: 1
name: some-model
title: Some model
licence: MIT
source:
  kind: pytorch
  network: ssd_resnet34
  options: {image_size: 400, width: 0.125, variant: rfb}
  files:
    - {name: folder/model.pth, urls: ["https://host/model.pth", "package:demo/model.pth"]}
input:
  name: image
  shape: [1, 3, 240, 320]
  color: {model: rgb}
  resize: {mode: stretch, filter: bilinear, library: opencv}
detections:
  boxes: xyxy
  units: normalised
  labels: [cat, dog]
  score_threshold: 0.05
  iou_threshold: 0.5
  per_class: 200
  keep: 100
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write_file(content: str | bytes) -> Path:
        path = tmp_path / "some-model.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


Write = Callable[[str | bytes], Path]


def failure(path: Path) -> str:
    """Return the message of loading, with FILE for the path."""
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert caught.value.exit_code == 2
    assert caught.value.hint
    return caught.value.message.replace(str(path), "FILE")


def test_defaults(write: Write) -> None:
    recipe = load_recipe(write(GOOD))
    assert recipe.input.color.converted == "bgr"
    assert (recipe.input.mean, recipe.input.scale) == ((0, 0, 0), (1, 1, 1))
    assert (recipe.detections.at_iou_threshold, recipe.detections.clip) == ("keep", False)
    assert (recipe.precisions, recipe.opset) == (("FP32", "FP16"), 13)
    assert (recipe.pictures, recipe.limits, recipe.accuracy, recipe.notes) == ((), {}, (), ())
    assert (recipe.class_names, recipe.classes) == (("cat", "dog"), 3)
    file = recipe.source.files[0]
    assert (file.size, file.sha256, file.sha384) == (None, None, None)


def test_options_keep_their_types(write: Write) -> None:
    source = load_recipe(write(GOOD)).source
    assert source.kind == "pytorch"
    assert [(type(value), value) for value in source.options.values()] == [
        (int, 400),
        (float, 0.125),
        (str, "rfb"),
    ]


def test_shipped_label_list(write: Write) -> None:
    recipe = load_recipe(write(GOOD.replace("[cat, dog]", "coco-80")))
    assert (recipe.class_names, recipe.classes) == (COCO_80, 81)


@pytest.mark.parametrize(
    "source",
    [
        "{kind: onnx, files: [{name: m.onnx, urls: []}]}",
        "{kind: onnx, heads: {scores: s, boxes: b}, files: [{name: m.onnx, urls: []}]}",
        "{kind: caffe, files: [{name: m.prototxt, urls: []}, {name: m.caffemodel, urls: ['http://h/m']}]}",
        "{kind: ir, files: [{name: FP32/m.bin, urls: []}, {name: FP32/m.xml, urls: ['file:///m.xml'], sha384: "
        + "0f" * 48
        + "}]}",
    ],
)
def test_other_kinds(write: Write, source: str) -> None:
    data = yaml.safe_load(GOOD) | {"source": yaml.safe_load(source)}
    assert load_recipe(write(yaml.safe_dump(data))).source.kind == data["source"]["kind"]


def test_a_recipe_is_frozen(write: Write) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_recipe(write(GOOD)).__setattr__("name", "other")


@pytest.mark.parametrize(
    ("good", "bad", "problem"),
    [
        ("schema: 1", "schema: 2", "1: schema: expected 1, got 2"),
        (
            "name: some-model",
            "name: Some Model",
            "2: name: expected lower-case letters, digits, '-', '_', '.'",
        ),
        ("name: some-model", "name: ..", "2: name: expected lower-case"),
        ("licence: MIT", "licence: no", "4: licence: expected text, got false"),
        ("licence: MIT", "licence: MIT\nhomepage: ftp://h", "5: homepage: expected an http or https URL"),
        (
            "kind: pytorch",
            "kind: tf",
            "6: source.kind: expected 'pytorch', 'onnx', 'caffe', 'ir', got \"tf\"",
        ),
        ("  kind: pytorch\n", "", "5: source.kind: required, and missing"),
        ("network: ssd_resnet34", "net: x", "5: source.network: required, and missing"),
        ("network: ssd_resnet34", "netwrok: x", "7: source.netwrok: unknown key, did you mean 'network'?"),
        (
            "kind: pytorch",
            "kind: onnx",
            "7: source.network: unknown key, expected one of files, kind, heads, recorded, stand_in",
        ),
        (
            "image_size: 400",
            "classes: 3",
            "8: source.options: expected no option 'classes': the number of classes",
        ),
        (
            "image_size: 400",
            "image_size: yes",
            "8: source.options.image_size: expected a whole number or a number",
        ),
        ("urls: [", "urls: [ftp://x, ", "10: source.files[0].urls[0]: expected an http, https or file URL"),
        ("package:demo", "package:..", "10: source.files[0].urls[1]: expected a relative path"),
        ("urls: [", "size: 0, urls: [", "10: source.files[0].size: expected 1 or more, got 0"),
        ("urls: [", "sha256: AB, urls: [", 'sha256: expected 64 lower-case hexadecimal digits, got "AB"'),
        ("urls: [", "sha384: 00, urls: [", "sha384: expected text, got 0"),
        ("[1, 3, 240, 320]", "[2, 3, 240, 320]", "13: input.shape[0]: expected 1, got 2"),
        ("[1, 3, 240, 320]", "[1, 3, 240]", "13: input.shape[3]: required, and missing"),
        (
            "[1, 3, 240, 320]",
            "[1, 3, 240, 320, 1]",
            "13: input.shape: expected at most 4 item(s), got a list of 5",
        ),
        ("model: rgb", "model: yuv", "14: input.color.model: expected 'rgb' or 'bgr', got \"yuv\""),
        ("input:", "input:\n  scale: [1, 0, 1]", "12: input.scale[1]: expected a number other than 0, got 0"),
        (
            "input:",
            "input:\n  mean: [1, .inf, 1]",
            "12: input.mean[1]: expected a finite number, got Infinity",
        ),
        ("input:", "input:\n  mean: 127", "12: input.mean: expected a list, got 127"),
        (
            "[cat, dog]",
            "coco",
            "19: detections.labels: expected a list of class names, or one of coco-80, coco-91, voc-20",
        ),
        ("[cat, dog]", "[]", "19: detections.labels: expected at least 1 item(s)"),
        ("[cat, dog]", "[cat, cat]", "19: detections.labels: expected no two alike ('cat' is there twice)"),
        ("[cat, dog]", "[cat, 5]", "19: detections.labels[1]: expected text, got 5"),
        (
            "score_threshold: 0.05",
            "score_threshold: 1",
            "20: detections.score_threshold: expected less than 1",
        ),
        ("iou_threshold: 0.5", "iou_threshold: .nan", "21: detections.iou_threshold: expected "),
        ("per_class: 200", "per_class: 2.5", "22: detections.per_class: expected a whole number, got 2.5"),
        ("keep: 100", "keep: '100'", '23: detections.keep: expected a whole number, got "100"'),
        ("keep: 100", "keep:", "23: detections.keep: expected a whole number, got nothing"),
        (
            "keep: 100",
            "keep: 100\nprecisions: []",
            "24: precisions: expected at least 1 item(s), got a list of 0",
        ),
        ("keep: 100", "keep: 100\nprecisions: [INT8, INT8]", "24: precisions: expected no two alike"),
        ("keep: 100", "keep: 100\nopset: 21", "24: opset: expected 20 or less, got 21"),
        (
            "keep: 100",
            "keep: 100\npictures: [/x.png]",
            "24: pictures[0]: expected a path relative to the recipe",
        ),
        (
            "keep: 100",
            "keep: 100\nlimits: {FP8: {}}",
            "24: limits.FP8: expected 'FP32', 'FP16' or 'INT8', got",
        ),
        (
            "keep: 100",
            "keep: 100\nlimits: {FP16: {head: 1}}",
            "24: limits.FP16.head: unknown key, did you mean",
        ),
        ("keep: 100", "keep: 100\nlimits: {FP16: {score: 0}}", "24: limits.FP16.score: expected more than 0"),
        ("keep: 100", "keep: 100\n  clip: 1", "24: detections.clip: expected true or false, got 1"),
        ("keep: 100", "keep: 100\nkeep: 100", "24: keep: unknown key"),
        (
            "keep: 100",
            "keep: 100\n  keep: 100",
            "24: detections.keep: this key is there twice, first on line 23",
        ),
    ],
)
def test_a_problem_has_line_key_expected_and_actual(write: Write, good: str, bad: str, problem: str) -> None:
    assert GOOD.count(good) == 1
    assert problem in failure(write(GOOD.replace(good, bad)))


@pytest.mark.parametrize("name", ["../x", "a/../x", "/x", "a//b", "a\\b", "C:/x", "", "./a", "a\n"])
def test_file_names_stay_inside_their_folder(write: Write, name: str) -> None:
    data = yaml.safe_load(GOOD)
    data["source"]["files"][0]["name"] = name
    assert "source.files[0].name: expected a relative path" in failure(write(yaml.safe_dump(data)))


@pytest.mark.parametrize(
    "name",
    ["lock.json", "LOCK.json", "lock.json/m.pth", "m.pth.rejected", "old.rejected/m.pth", "a/.tmp-b/m.pth"],
)
def test_files_leave_the_cache_its_own_names(write: Write, name: str) -> None:
    """A file called lock.json would be taken for the digests of unpinned files, and be lost when these are noted."""
    data = yaml.safe_load(GOOD)
    data["source"]["files"][0]["name"] = name
    assert "source.files[0].name: expected a name that the cache does not use itself" in failure(
        write(yaml.safe_dump(data))
    )


@pytest.mark.parametrize("name", ["folder/lock.json", "m.rejected.pth", "m.pth.new", "tmp-m.pth"])
def test_names_that_are_like_those_of_the_cache(write: Write, name: str) -> None:
    data = yaml.safe_load(GOOD)
    data["source"]["files"][0]["name"] = name
    assert load_recipe(write(yaml.safe_dump(data))).source.files[0].name == name


def test_no_file_has_the_name_of_anothers_folder(write: Write) -> None:
    data = yaml.safe_load(GOOD)
    data["source"]["files"] = [data["source"]["files"][0] | {"name": name} for name in ("a/b", "a/b/m.pth")]
    assert "source.files: expected no file with the name of another one's folder ('a/b' is both)" in failure(
        write(yaml.safe_dump(data))
    )


def test_two_files_of_one_name(write: Write) -> None:
    data = yaml.safe_load(GOOD)
    data["source"]["files"] *= 2
    assert "source.files: expected no two alike ('folder/model.pth' is there twice)" in failure(
        write(yaml.safe_dump(data))
    )


def test_all_problems_are_reported_at_once(write: Write) -> None:
    bad = (
        GOOD.replace("title", "titel")
        .replace("400", "{}")
        .replace("rgb}", "RGB}", 2)
        .replace("xyxy", "[1, 2]")
    )
    bad = bad.replace("urls: [", "sha256: abc, urls: [").replace("keep: 100", "keep: 0\n  keep: -1")
    assert failure(write(bad)) == (
        "FILE:1: title: required, and missing\n"
        "FILE:3: titel: unknown key, did you mean 'title'?\n"
        "FILE:8: source.options.image_size: expected a whole number or a number or text, got a mapping\n"
        'FILE:10: source.files[0].sha256: expected 64 lower-case hexadecimal digits, got "abc"\n'
        "FILE:14: input.color.model: expected 'rgb' or 'bgr', got \"RGB\"\n"
        "FILE:17: detections.boxes: expected 'xyxy', got a list of 2\n"
        "FILE:24: detections.keep: expected 1 or more, got -1\n"
        "FILE:24: detections.keep: this key is there twice, first on line 23"
    )


def test_a_flood_of_problems_is_cut(write: Write) -> None:
    message = failure(write(GOOD + "".join(f"key{number}: 1\n" for number in range(100))))
    assert len(message.splitlines()) == 21
    assert message.endswith("FILE: and 80 problems more")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "FILE: the file is empty"),
        ("# nothing\n", "FILE: the file is empty"),
        ("\n- a\n- b\n", "FILE:2:1: expected a mapping with the keys schema, name, ..."),
        ("just text", "FILE:1:1: expected a mapping"),
        ("a: 1\nb: [1, 2\nc: 3\n", "FILE:3:"),
        ("a: 1\n---\nb: 1\n", "FILE:2:1: expected a single document"),
        ("a: *nowhere", "FILE:1:4: found undefined alias"),
        ("a: 1\nb: \x00", "FILE:2: "),
        (b"a: 1\nb: \xff\xfe", "FILE:2: expected UTF-8 text, got the byte 0xff"),
        ("a: !!python/object/apply:os.system [id]", "FILE:1:4: expected plain data, got python/object"),
        ("title: 2024-13-45", "FILE:1:8: expected plain data, got timestamp: put text in quotes"),
        ("a: !!int x", "FILE: a value does not fit its YAML tag"),
        ("a: !!bool x", "FILE: a value does not fit its YAML tag"),
        ("[a]: 1", "FILE:1:1: "),
        ("a: &a [*a]", "FILE:1:4: expected at most 50000 values and 20 levels, aliases expanded"),
        ("[" * 200_000, "FILE:1:21: expected at most 20 levels"),
        ("- " * 200_000, "FILE:1:41: expected at most 20 levels"),
        ("a: 1\n" + "#" * 1_000_000, "FILE: expected at most 1000000 bytes, got more"),
    ],
)  # fmt: skip
def test_not_a_recipe(write: Write, content: str | bytes, problem: str) -> None:
    assert failure(write(content)).startswith(problem)


def test_an_alias_bomb_is_refused(write: Write) -> None:
    bomb = "a: &a [x, x]\n"
    for inner, outer in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{outer}: &{outer} [{', '.join([f'*{inner}'] * 9)}]\n"
    assert "expected at most 50000 values and 20 levels, aliases expanded, got more" in failure(write(bomb))


def test_unreadable(tmp_path: Path) -> None:
    assert "No such file" in failure(tmp_path / "none.yaml")
    assert "Is a directory" in failure(tmp_path)


def test_yaml_conveniences(write: Write) -> None:
    text = GOOD.replace("iou_threshold: 0.5", "iou_threshold: 5e-1").replace(
        "[cat, dog]", "&names [cat, dog]"
    )
    assert load_recipe(write("\ufeff" + text)) == load_recipe(write(GOOD))
    merged = GOOD.replace("color: {model: rgb}", "color: {<<: {model: bgr}, model: rgb}")
    assert load_recipe(write(merged)) == load_recipe(write(GOOD))


def test_digest_is_of_the_meaning(write: Write) -> None:
    digest = recipe_digest(load_recipe(write(GOOD)))
    assert re.fullmatch("[0-9a-f]{64}", digest)
    same = "# comment\n" + GOOD + "opset: 13\nprecisions: [FP32, FP16]\n"
    assert recipe_digest(load_recipe(write(same))) == digest
    assert recipe_digest(load_recipe(write(GOOD + "opset: 14\n"))) != digest
    inline = GOOD.replace("[cat, dog]", json.dumps(list(COCO_80)))
    named = GOOD.replace("[cat, dog]", "coco-80")
    assert recipe_digest(load_recipe(write(inline))) == recipe_digest(load_recipe(write(named)))


# --- any recipe survives YAML, and is valid under the JSON Schema

lines = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
counts = st.integers(1, 10**6)
numbers = st.floats(-1e6, 1e6)
fractions = st.floats(0, 1)
tolerances = st.floats(1e-9, 10)
files = st.fixed_dictionaries(
    {
        "name": st.lists(names, min_size=1, max_size=3).map("/".join),
        "urls": st.lists(st.sampled_from(["https://h/x", "file:///x", "package:a/b"]), max_size=2),
    },
    optional={
        "size": st.none() | counts,
        "sha256": st.none() | st.from_regex("[0-9a-f]{64}", fullmatch=True),
    },
)
file_lists = st.lists(files, min_size=1, max_size=3, unique_by=lambda file: file["name"].split("/")[0])


def pairs(first: str, second: str) -> st.SearchStrategy[Any]:
    return st.tuples(files, files).map(lambda both: [both[0] | {"name": first}, both[1] | {"name": second}])


options = st.dictionaries(
    lines.filter(lambda key: key != "classes"), st.integers() | numbers | lines, max_size=3
)
sources = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.just("pytorch"), "network": lines, "files": file_lists}, optional={"options": options}
    ),
    st.fixed_dictionaries(
        {"kind": st.just("onnx"), "files": file_lists},
        optional={"heads": st.none() | st.fixed_dictionaries({"scores": lines, "boxes": lines})},
    ),
    st.fixed_dictionaries({"kind": st.just("caffe"), "files": pairs("m.prototxt", "m.caffemodel")}),
    st.fixed_dictionaries({"kind": st.just("ir"), "files": pairs("FP16/m.xml", "FP16/m.bin")}),
)
inputs = st.fixed_dictionaries(
    {
        "name": lines,
        "shape": st.tuples(st.just(1), st.just(3), counts, counts).map(list),
        "color": st.fixed_dictionaries(
            {"model": st.sampled_from(["rgb", "bgr"])},
            optional={"converted": st.sampled_from(["rgb", "bgr"])},
        ),
        "resize": st.fixed_dictionaries(
            {
                "mode": st.sampled_from(["stretch", "crop"]),
                "filter": st.just("bilinear"),
                "library": st.sampled_from(["opencv", "pillow"]),
            }
        ),
    },
    optional={
        "mean": st.lists(numbers, min_size=3, max_size=3),
        "scale": st.lists(numbers.filter(bool), min_size=3, max_size=3),
    },
)
detections = st.fixed_dictionaries(
    {
        "boxes": st.just("xyxy"),
        "units": st.sampled_from(["normalised", "pixels"]),
        "labels": st.sampled_from(["coco-80", "voc-20"])
        | st.lists(lines, min_size=1, max_size=4, unique=True),
        "score_threshold": st.floats(0, 1, exclude_max=True),
        "iou_threshold": fractions,
        "per_class": counts,
        "keep": counts,
    },
    optional={"at_iou_threshold": st.sampled_from(["keep", "suppress"]), "clip": st.booleans()},
)
precisions = st.sampled_from(["FP32", "FP16", "INT8"])
recipes = st.fixed_dictionaries(
    {
        "schema": st.just(1),
        "name": names,
        "title": lines,
        "licence": lines,
        "source": sources,
        "input": inputs,
        "detections": detections,
    },
    optional={
        "homepage": st.none() | st.just("https://host"),
        "precisions": st.lists(precisions, min_size=1, unique=True),
        "opset": st.integers(11, 20),
        "pictures": st.lists(st.sampled_from(["a.png", "../b.png", "package:demo/c.png"]), max_size=2),
        "limits": st.dictionaries(
            precisions,
            st.fixed_dictionaries(
                {},
                optional={
                    "heads": st.floats(1e-9, 0.2),
                    "score": st.floats(1e-9, 0.2),
                    "iou": st.floats(0.5, 1),
                },
            ),
        ),
        "accuracy": st.lists(
            st.fixed_dictionaries({"metric": lines, "by": lines, "value": numbers, "source": lines}),
            max_size=2,
        ),
        "notes": st.lists(lines, max_size=2),
    },
)


class Dumper(yaml.SafeDumper):
    """Quotes what a recipe's reader would take for a number, such as the text 1e3."""


Dumper.yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=recipes)
def test_any_recipe_survives_yaml_and_fits_the_schema(tmp_path_factory: Any, data: dict[str, Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(yaml.dump(data, Dumper=Dumper, allow_unicode=True), encoding="utf-8")
    recipe = load_recipe(path)
    assert recipe == Recipe.model_validate_json(json.dumps(data))
    resolved = recipe.model_dump(mode="json", by_alias=True)
    path.write_text(yaml.dump(resolved, Dumper=Dumper), encoding="utf-8")
    assert load_recipe(path) == recipe
    assert recipe_digest(load_recipe(path)) == recipe_digest(recipe)
    schema = recipe_schema()
    for document in (data, resolved):
        assert fits(document, schema, schema), document


def test_the_schema_refuses_what_the_model_refuses() -> None:
    schema = recipe_schema()
    good = yaml.safe_load(GOOD)
    assert fits(good, schema, schema)
    for key, bad in [("schema", 2), ("name", "A"), ("titel", "x"), ("opset", 21), ("source", {"kind": "tf"})]:
        assert not fits(good | {key: bad}, schema, schema), key
    for key, bad in [("shape", [1, 3, 2]), ("color", {"model": "yuv"}), ("mean", [1, 2, "3"]), ("size", 1)]:
        changed = copy.deepcopy(good)
        changed["input"][key] = bad
        assert not fits(changed, schema, schema), key


def test_every_field_is_described() -> None:
    schema = recipe_schema()
    for name, model in {"Recipe": schema, **schema["$defs"]}.items():
        assert model["additionalProperties"] is False
        assert model["description"], name
        for key, field in model["properties"].items():
            assert field.get("description"), f"{name}.{key}"
    assert set(schema["properties"]) >= {"schema", "name", "source", "input", "detections"}


TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
IGNORED = {"title", "description", "default", "$defs", "$schema", "discriminator"}


def fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """Validate the keywords of JSON Schema that a recipe's schema has; an unknown one is a KeyError."""

    def within(inner: Any, inner_schema: Any) -> bool:
        return inner_schema if isinstance(inner_schema, bool) else fits(inner, inner_schema, root)

    is_list, is_map = isinstance(value, list), isinstance(value, dict)
    checks: dict[str, Callable[[Any], bool]] = {
        "$ref": lambda ref: fits(value, root["$defs"][ref.rpartition("/")[2]], root),
        "type": lambda kind: (
            isinstance(value, TYPES[kind]) and isinstance(value, bool) == (kind == "boolean")
        ),
        "const": lambda constant: value == constant,
        "enum": lambda values: value in values,
        "anyOf": lambda options: any(fits(value, option, root) for option in options),
        "oneOf": lambda options: sum(fits(value, option, root) for option in options) == 1,
        "pattern": lambda pattern: isinstance(value, str) and bool(re.search(pattern, value)),
        "minLength": lambda least: isinstance(value, str) and len(value) >= least,
        "minItems": lambda least: is_list and len(value) >= least,
        "maxItems": lambda most: is_list and len(value) <= most,
        "prefixItems": lambda items: is_list and all(map(within, value, items)),
        "items": lambda item: is_list and all(within(each, item) for each in value),
        "minimum": lambda limit: value >= limit,
        "maximum": lambda limit: value <= limit,
        "exclusiveMinimum": lambda limit: value > limit,
        "exclusiveMaximum": lambda limit: value < limit,
        "required": lambda keys: is_map and value.keys() >= set(keys),
        "propertyNames": lambda names: is_map and all(within(key, names) for key in value),
        "properties": lambda known: (
            is_map and all(within(value[key], known[key]) for key in value.keys() & known)
        ),
        "additionalProperties": lambda other: (
            is_map
            and all(within(value[key], other) for key in value.keys() - schema.get("properties", {}).keys())
        ),
    }
    # `type` first: the others may assume it
    return all(
        checks[key](schema[key]) for key in sorted(schema.keys() - IGNORED, key=lambda key: key != "type")
    )
