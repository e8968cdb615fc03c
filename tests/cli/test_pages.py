"""The pages of docs/ that are generated, and what they promise of --json and of exit codes."""

import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssdconvert import errors
from ssdconvert.cli import cli
from ssdconvert.demo.pictures import write_coco
from ssdconvert.resources import package_file

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names in docs/generate.py."""
    monkeypatch.syspath_prepend(DOCS)
    return runpy.run_path(str(DOCS / "generate.py"))


@pytest.fixture
def documents() -> dict[str, Any]:
    """The names in docs/documents.py."""
    return runpy.run_path(str(DOCS / "documents.py"))


def keys(document: Any) -> Any:
    """The keys of a document, of lists those of the first element; None for a value."""
    if isinstance(document, dict):
        return {key: keys(value) for key, value in document.items()}
    if isinstance(document, list):
        return [keys(document[0])] if document else []
    return None


def agree(promised: Any, printed: Any, where: str = "") -> None:
    """What is printed has the promised keys and no others; where a sample is empty or null, nothing is promised."""
    if isinstance(promised, dict) and promised and isinstance(printed, dict):
        assert list(promised) == list(printed), where
        for key, value in promised.items():
            agree(value, printed[key], f"{where}.{key}")
    elif isinstance(promised, list) and isinstance(printed, list) and promised and printed:
        agree(promised[0], printed[0], f"{where}[0]")
    else:
        assert not printed or promised in ({}, []), where


def test_the_pages_are_what_the_generator_writes(generator: dict[str, Any]) -> None:
    pages = generator["pages"]()
    there = {*(DOCS / "commands").glob("*.md"), DOCS / "recipe.md"}
    assert set(pages) == there, "run: python docs/generate.py"
    for path, text in pages.items():
        assert path.read_text("utf-8") == text, f"{path.name} is old: run python docs/generate.py"


def test_every_command_tells_its_exit_codes_and_its_document(
    generator: dict[str, Any], documents: dict[str, Any]
) -> None:
    for names, command in generator["commands"](cli):
        name = " ".join(names)
        assert name in documents["CODES"]
        if not hasattr(command, "commands"):
            assert name in {**documents["DOCUMENTS"], **documents["BESIDE"]}
    for name, text in documents["DOCUMENTS"].items():
        assert json.loads(text), name


@pytest.mark.parametrize(
    "arguments",
    [
        "list", "doctor", "build ssd-demo", "fetch ssd-demo", "cache list", "cache verify", "toolchain list",
        "detect ssd-demo PICTURE", "report build/ssd-demo --output out",
        "bench ssd-demo --seconds 0.1 --rounds 1 --threads 1 --engine openvino --engine onnxruntime",
        "evaluate ssd-demo --annotations set/annotations.json --draws 5",
        "toolchain remove ov-2026",
    ],
)  # fmt: skip
def test_documents_have_the_keys_that_are_promised(
    run: Callable[..., Any], demo: Path, documents: dict[str, Any], arguments: str, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("SSDCONVERT_TOOLCHAINS", str(tmp_path / "toolchains"))
    if arguments.startswith("evaluate"):
        write_coco(tmp_path / "set", 2, 1)
    if arguments.startswith("cache"):
        run("fetch", "ssd-demo")
    given = [
        str(package_file("package:images/shapes-1.jpg")) if a == "PICTURE" else a for a in arguments.split()
    ]
    ended = run(*given, "--json")
    assert ended.code == 0, ended.err
    name = max((name for name in documents["DOCUMENTS"] if arguments.startswith(name)), key=len)
    agree(keys(json.loads(documents["DOCUMENTS"][name])), keys(ended.document), name)


def test_report_json_has_the_keys_that_are_promised_of_verify(demo: Path, documents: dict[str, Any]) -> None:
    report = json.loads((demo / "report.json").read_text("utf-8"))
    agree(keys(json.loads(documents["DOCUMENTS"]["verify"])), keys(report))


def test_every_exit_code_has_its_line(generator: dict[str, Any]) -> None:
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)]
    codes = {0, 70, 130, 141, *(one.exit_code for one in classes)}  # type: ignore[attr-defined]
    lines = dict(
        re.findall(r"^\| (\d+) \| ([^|]*) \|", (DOCS / "exit-codes.md").read_text("utf-8"), re.MULTILINE)
    )
    assert {int(code) for code in lines} == codes
    for code, meaning in generator["MEANINGS"].items():
        assert lines[str(code)] == meaning
