"""A network of a known family is one YAML: that of docs/add-a-model.md, as it stands there."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ssdconvert.networks import families

PAGE = Path(__file__).parents[2] / "docs" / "add-a-model.md"
NAME = "ultraface-rfb-640"


def test_the_pages_recipe_builds_from_seeded_weights(run: Callable[..., Any]) -> None:
    import openvino

    found = re.search(r"```yaml\n(schema.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found
    Path(f"{NAME}.yaml").write_text(found.group(1), "utf-8")
    ended = run("build", f"{NAME}.yaml", "--stand-in", "--offline", "--precision", "FP32", "--json")
    assert ended.code == 0, ended.err
    assert ended.document["verdict"] == "pass"
    load = next(stage for stage in ended.document["stages"] if stage["name"] == "load")
    assert load["summary"] == "17640 default boxes x 2 classes"
    model = openvino.Core().read_model(f"build/{NAME}-stand-in/FP32/{NAME}-stand-in.xml")
    assert list(model.inputs[0].get_shape()) == [1, 3, 480, 640]


def test_the_page_lists_every_family() -> None:
    text = PAGE.read_text("utf-8")
    assert [name for name in families() if f"| `{name}` |" not in text] == []
