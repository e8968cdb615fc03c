"""The commands in README.md: each block is run in order, and what it shows of their output is compared.

The `make` ones are dry runs, for `.ci/run` itself calls them. Numbers may differ from README's.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from PIL import Image

from ssdconvert.catalog import Catalog
from ssdconvert.cli import cli
from ssdconvert.demo.pictures import write_coco
from ssdconvert.resources import package_file

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SLOW = ("build ultraface-rfb-320", "build ssd-resnet34-1200 --stand-in", "-j 2")


def commands(block: str) -> list[tuple[str, str]]:
    """The commands of a block, each with the output that is shown."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)
    return [(part.split("\n", 1)[0], part.split("\n", 1)[1]) for part in parts if part.strip()]


def cases() -> list[Any]:
    """A case for each block; what takes long is in one of its own, and slow."""
    found = []
    for number, block in enumerate(BLOCKS):
        fast, slow = [], []
        for command, shown in commands(block):
            (slow if any(part in command for part in SLOW) else fast).append((command, shown))
        for together, marks in ((fast, ()), (slow, (pytest.mark.slow,))):
            if together:
                found.append(pytest.param(together, id=f"{number}: {together[0][0]}", marks=marks))
    return found


def missing(words: list[str]) -> list[str]:
    """The commands and options among words that this version does not have."""
    command = cli.commands.get(words[1])
    if command is None:
        return [words[1]]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return [word for word in words[2:] if word.startswith("-") and word not in options]


def shape(text: str) -> list[str]:
    """The lines of a text without numbers, times and the width of columns."""
    lines = [re.sub(r"  \d+\.\d s$", "", click.unstyle(line)) for line in text.splitlines()]
    return [
        re.sub(r"[\d.]+(e-\d+)?(\+cpu)?|[0-9a-f]{8}\.\.\.", "N", " ".join(line.split())) for line in lines
    ]


@pytest.mark.parametrize("block", cases())
def test_the_commands_of_readme(
    block: list[tuple[str, str]],
    run: Callable[..., Any],
    demo: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copy(package_file("package:images/shapes-1.jpg"), tmp_path / "picture.jpg")
    if any(" set/annotations.json" in command for command, _ in block):
        write_coco(tmp_path / "set", 4, 1)
    if any("ultraface" in command for command, _ in block if command.startswith("ssdconvert")):
        monkeypatch.setenv("SSDCONVERT_MIRROR", str(request.getfixturevalue("mirror")))
    left_out = []
    for command, shown in block:
        words = shlex.split(command)
        if words[0] == "make":
            dry_run(words)
        elif words[0] == "pip":
            left_out += [] if installable(words[-1]) else [words[-1]]
        elif absent := missing(words):
            left_out += absent
        else:
            ended = run(*words[1:])
            assert ended.code == 0, f"{command}: {ended.err}"
            told = shape(ended.err + ended.out)
            for line in shape(shown):
                assert line in told, f"{command} does not print: {line}"
    assert left_out == []


def dry_run(words: list[str]) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    ended = subprocess.run(
        [*words, "-n", "PYTHON=python3"],
        cwd=ROOT,
        env=kept,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def installable(requirement: str) -> bool:
    """Whether pyproject.toml has what is in the brackets."""
    extra = re.search(r"\[(\w+)\]", requirement)
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    return extra is None or re.search(rf"^{extra[1]} = \[", project, re.MULTILINE) is not None


def test_make_targets_of_readme_are_run_by_continuous_integration() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert {"make lint", "make demo", "make test", "make test-slow"} <= set(script)


def test_every_recipe_is_in_the_table() -> None:
    table = README.split("## Recipes", 1)[1]
    named = set(re.findall(r"`([a-z0-9-]+)`", table))
    shipped = {entry.recipe.name for entry in Catalog().all_entries()}
    short = {f"person-vehicle-bike-detection{name}" for name in named if name.startswith("-")}
    assert shipped <= named | short


def test_the_exit_codes_are_those_of_their_page() -> None:
    pattern = re.compile(r"^\| (\d+) \| ([^|]*) \|", re.MULTILINE)
    page = dict(pattern.findall((ROOT / "docs" / "exit-codes.md").read_text("utf-8")))
    found = dict(pattern.findall(README))
    assert found.items() <= page.items()
    assert set(page) - set(found) == {"141"}


def test_the_picture_is_what_a_build_draws(demo: Path) -> None:
    path = ROOT / "docs" / "ssd-demo.png"
    assert path.stat().st_size < 200_000
    pictures = [
        np.asarray(Image.open(file).convert("RGB")).astype(int) for file in (path, demo / "reference.png")
    ]
    assert pictures[0].shape == pictures[1].shape
    assert np.abs(pictures[0] - pictures[1]).mean() < 6  # 64 colours
