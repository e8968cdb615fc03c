"""The rules of docs/architecture.md: what may import what, and what `--help` may load."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "ssdconvert"
SOURCES = sorted(PACKAGE.rglob("*.py"))
FLOW = [
    "fetch",
    "load",
    "export",
    "simplify",
    "convert",
    "quantize",
    "myriad",
    "verify",
    "detect",
    "report",
    "manifest",
]
HEAVY = {"torch", "openvino", "onnx", "onnxruntime", "onnxsim", "nncf", "cv2", "PIL", "requests"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(nodes: list[ast.stmt], everywhere: bool) -> set[str]:
    """Names that are imported: at the top level, or everywhere but for type checkers."""
    found: set[str] = set()
    for node in nodes:
        if is_type_checking(node):
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif everywhere or isinstance(node, ast.If | ast.Try | ast.With):
            for body in ("body", "orelse", "finalbody", "handlers"):
                found |= imports([n for n in getattr(node, body, [])], everywhere)
    return found


def tree(path: Path) -> list[ast.stmt]:
    return ast.parse(path.read_text("utf-8")).body


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_nothing_below_imports_the_command_line(path: Path) -> None:
    if path.is_relative_to(PACKAGE / "cli") or path.name == "__main__.py":
        return
    assert not [name for name in imports(tree(path), True) if name.startswith("ssdconvert.cli")]


@pytest.mark.parametrize("stage", FLOW)
def test_no_stage_imports_a_later_one(stage: str) -> None:
    later = {f"ssdconvert.stages.{name}" for name in FLOW[FLOW.index(stage) + 1 :]}
    used = imports(tree(PACKAGE / "stages" / f"{stage}.py"), True)
    assert not {name for name in used if any(name == one or name.startswith(one + ".") for one in later)}


def test_every_stage_has_its_place_in_the_flow() -> None:
    files = {path.stem for path in (PACKAGE / "stages").glob("*.py")} - {"__init__"}
    assert files == set(FLOW)


@pytest.mark.parametrize("path", sorted((PACKAGE / "ssd").glob("*.py")), ids=module_name)
def test_the_science_is_numpy_alone(path: Path) -> None:
    allowed = {"numpy", "collections", "dataclasses", "typing"}
    for name in imports(tree(path), False):
        top = name.split(".")[0]
        assert top in allowed or name.startswith("ssdconvert.ssd"), name


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if not p.is_relative_to(PACKAGE / "networks")], ids=module_name
)
def test_heavy_libraries_are_imported_where_they_are_needed(path: Path) -> None:
    if path.parts[-2] in ("demo", "stand_in", "tails"):  # run on their own, or loaded by a stage
        return
    assert not {name for name in imports(tree(path), False) if name.split(".")[0] in HEAVY}


def test_help_and_list_load_nothing_heavy() -> None:
    code = (
        "import sys\nfrom ssdconvert.cli import main\n"
        "try:\n    main(['list', '-q'])\nexcept SystemExit:\n    pass\n"
        f"loaded = {sorted(HEAVY)!r}\nprint([name for name in loaded if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_only_the_command_line_prints(path: Path) -> None:
    if path.is_relative_to(PACKAGE / "cli"):
        return
    calls = [node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    assert not [call.id for call in calls if isinstance(call, ast.Name) and call.id == "print"]


def test_the_architecture_page_has_a_line_for_each_file() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = set(re.findall(r"^\s+([a-z0-9_]+(?:/[a-z0-9_]+)*(?:\.py|/))\s", page, re.MULTILINE))
    files = {path.relative_to(PACKAGE).as_posix() for path in SOURCES if path.name != "__init__.py"}
    packages = {
        f"{path.parent.relative_to(PACKAGE).as_posix()}/" for path in SOURCES if path.parent != PACKAGE
    }
    missing = sorted((files | packages) - named)
    stale = sorted(named - files - packages - {"images/"})
    assert not missing, f"not in docs/architecture.md: {missing}"
    assert not stale, f"in docs/architecture.md, but gone: {stale}"
