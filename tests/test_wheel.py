"""The wheel holds what an installation needs: recipes, pictures, the demo's checkpoint."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_recipes_pictures_and_the_demo(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    recipes = {f"ssdconvert/recipes/{path.name}" for path in (ROOT / "recipes").glob("*.yaml")}
    pictures = {f"ssdconvert/images/{path.name}" for path in (ROOT / "ssdconvert/images").glob("*.jpg")}
    assert recipes
    assert pictures
    others = {"ssdconvert/demo/ssd-demo.pytorch", "ssdconvert/py.typed", "ssdconvert/toolchains/caffe.txt"}
    others |= {
        f"ssdconvert/report/{name}" for name in ("report.html.j2", "report.css", "index.html.j2", "index.css")
    }
    assert recipes | pictures | others <= names
    assert not [name for name in names if name.startswith(("tests/", "recipes/"))]
    assert wheel.stat().st_size < 3_000_000


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    """What .gitignore names by mistake is left out of it, without a word."""
    names = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "ssdconvert"
    files = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(files) > 200
    assert sorted(files - names) == []


def test_the_unpacked_wheel_lists_its_recipes(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "PYTHONSAFEPATH": "1"}
    code = (
        "import ssdconvert, pathlib; from ssdconvert.catalog import Catalog\n"
        "print(pathlib.Path(ssdconvert.__file__).parent)\n"
        "entry = Catalog().find('ssd-demo')\n"
        "print(entry.path, all(path.is_file() for path in entry.pictures()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    site = tmp_path / "site" / "ssdconvert"
    assert done.stdout.split() == [str(site), str(site / "recipes" / "ssd-demo.yaml"), "True"]


PROGRAM = """
import ssdconvert

result = ssdconvert.verify("model.xml", against="model.onnx", images=["pictures/"])
verdict: str = result.verdict
worst: list[float] = [check.value for check in result.checks if check.value is not None]
"""


@pytest.mark.slow
def test_a_program_that_uses_the_installed_package_is_type_checked(wheel: Path, tmp_path: Path) -> None:
    """In an environment where the package is installed, and its dependencies are not; mypy has its own."""
    pytest.importorskip("mypy")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "environment")], check=True)
    (site,) = (tmp_path / "environment").glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    right, wrong = tmp_path / "right.py", tmp_path / "wrong.py"
    right.write_text(PROGRAM, "utf-8")
    wrong.write_text(PROGRAM + "number: int = result.verdict\nssdconvert.verify(1)\n", "utf-8")

    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}

    def checked(program: Path) -> str:
        python = tmp_path / "environment" / "bin" / "python"
        command = [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--no-incremental",
            "--python-executable",
            python,
            program,
        ]
        return subprocess.run(
            command, cwd=tmp_path, env=kept, capture_output=True, text=True, check=False
        ).stdout

    assert checked(right) == "Success: no issues found in 1 source file\n"
    found = checked(wrong)
    assert 'expression has type "str", variable has type "int"' in found
    assert 'Argument 1 to "verify" has incompatible type "int"' in found
    (site / "ssdconvert" / "py.typed").unlink()
    assert "py.typed marker" in checked(right)
