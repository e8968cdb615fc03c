"""README and docs: links lead somewhere, examples are valid, commands have options that exist."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from ssdconvert.cli import cli
from ssdconvert.errors import SsdconvertError
from ssdconvert.report.index import LINKS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "benchmarks/README.md"]


def page_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def blocks(path: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def scripts(document: Any) -> list[str]:
    """The shell scripts in a workflow: `run` of GitHub, `script` and its like of GitLab."""
    found = []
    for key, value in document.items() if isinstance(document, dict) else enumerate(document):
        if key in ("script", "after_script"):
            found += value
        elif key == "run":
            found.append(value)
        elif isinstance(value, dict | list):
            found += scripts(value)
    return found


WORKFLOWS = [yaml.safe_load(text) for text in blocks(ROOT / "docs/pipelines.md", "yaml")]
SCRIPTS = [script for workflow in WORKFLOWS for script in scripts(workflow)]
CONSOLE = [
    line[2:].split("  #")[0] for page in PAGES for text in blocks(page, "console") for line in text.splitlines()
    if line.startswith("$ ")
]  # fmt: skip
COMMANDS = sorted(
    {
        match
        for text in (*SCRIPTS, *CONSOLE)
        for match in re.findall(r"\bssdconvert(?:-check)? [a-z][^;\n]*", text)
    }
)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text("utf-8")):
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


def test_workflows_and_their_scripts_are_found() -> None:
    assert len(WORKFLOWS) == 2
    assert len(SCRIPTS) >= 12
    assert len(COMMANDS) >= 15


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_shell(script: str) -> None:
    shell = shutil.which("bash") or shutil.which("sh")
    assert shell is not None
    ended = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_have_options_that_exist(line: str) -> None:
    words = shlex.split(re.sub(r"\$\([^)]*\)|\$\w+", "placeholder", line))
    command = cli.commands.get(words[1])
    options = {name for parameter in command.params for name in parameter.opts} if command else set()
    unknown = (
        {word for word in words[2:] if word.startswith("-") and word not in options}
        if command
        else {words[1]}
    )
    assert command is not None
    assert not unknown
    try:
        command.make_context(words[1], words[2:], help_option_names=["-h", "--help"])
    except click.ClickException as error:
        pytest.fail(error.format_message())
    except SsdconvertError:
        pass  # understood: a folder of recipes or a cache is not there


def artefacts(document: Any) -> list[list[str]]:
    """The paths of each set of artefacts that a workflow keeps."""
    if not isinstance(document, dict):
        return [found for part in document for found in artefacts(part)] if isinstance(document, list) else []
    found = [document["artifacts"]["paths"]] if "artifacts" in document else []
    if str(document.get("uses", "")).startswith("actions/upload-artifact@"):
        found.append(document["with"]["path"].split())
    return found + [one for part in document.values() for one in artefacts(part)]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=["GitHub", "GitLab"])
def test_what_the_page_of_several_builds_links_to_is_kept_with_it(workflow: Any) -> None:
    (kept,) = artefacts(workflow)
    assert {"release/", *(f"build/*/{name}" for name in LINKS.values())} <= set(kept)


def test_gitlab_takes_the_paths_of_its_workflow() -> None:
    for job in WORKFLOWS[1].values():
        kept = job.get("artifacts", {}) if isinstance(job, dict) else {}
        assert "expose_as" not in kept or not any(
            "*" in path for path in kept["paths"]
        )  # its validator's rule


def test_no_page_names_a_place_of_one_machine() -> None:
    for page in PAGES:
        found = re.findall(r"(?:/root|/work|/tmp)/\S*", page.read_text("utf-8"))
        assert not found, page.name
