"""The Makefile, with a program in the place of ssdconvert that writes down how it was called."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
Ran = subprocess.CompletedProcess[str]
FAKE = """#!/bin/sh
# fails with the code in fail/COMMAND-NAME, if there is one
echo "$* threads=${OMP_NUM_THREADS-unset} mirror=${SSDCONVERT_MIRROR-unset}" >> calls
case $1 in
  build) [ -e build/$2/manifest.json ] || { mkdir -p build/$2; echo new > build/$2/manifest.json; } ;;
  package) echo archive > release/$2.tar ;;
  report) echo page > release/index.html ;;
  show) set show "$3" ;;
esac
if [ -e fail/$1-$2 ]; then echo "error[$1]: $2" >&2; exit $(cat fail/$1-$2); fi
"""


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run make in a folder with the Makefile, an environment that counts as installed, and the fake program."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "ssdconvert/toolchains", tmp_path / "ssdconvert/toolchains")
    program = tmp_path / ".venv" / "bin" / "ssdconvert"
    program.parent.mkdir(parents=True)
    program.write_text(FAKE, "utf-8")
    program.chmod(0o755)
    (tmp_path / ".venv" / ".installed").touch()
    (tmp_path / "fail").mkdir()
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "OMP_NUM_THREADS", "SSDCONVERT_MIRROR"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, **environment: str) -> Ran:
        return subprocess.run(
            ["make", *arguments], cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip

    return run


def calls(folder: Path) -> list[str]:
    """What the program was called with since last asked."""
    path = folder / "calls"
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    path.unlink(missing_ok=True)
    return [line.split(" threads=")[0] for line in lines]


def test_help_has_a_line_for_each_target(make: Callable[..., Ran]) -> None:
    told = make("help").stdout
    for target in (
        "help", "demo", "test", "test-slow", "lint", "build-NAME", "verify-NAME", "release", "fetch", "bundle", "bench",
        "docs", "clean",
    ):  # fmt: skip
        assert [line for line in told.splitlines() if line.split(" ")[0] == target and len(line) > 20], target


def test_release_builds_packages_and_reports(make: Callable[..., Ran], tmp_path: Path) -> None:
    ended = make("release", "RECIPES=one two", "FLAGS=--device CPU", "KEY=a key.pem", "MIRROR=there")
    assert ended.returncode == 0, ended.stderr
    assert calls(tmp_path) == [
        "show --quiet one", "show --quiet two",
        "build one --device CPU", "package one --output release/one.tar --key a key.pem",
        "build two --device CPU", "package two --output release/two.tar --key a key.pem",
        "report build/one build/two --output release",
    ]  # fmt: skip


def test_nothing_is_packaged_again_unless_a_manifest_or_an_option_changed(
    make: Callable[..., Ran], tmp_path: Path
) -> None:
    assert make("release", "RECIPES=one").returncode == 0
    calls(tmp_path)
    assert make("release", "RECIPES=one").returncode == 0
    assert calls(tmp_path) == ["show --quiet one", "build one", "report build/one --output release"]
    time.sleep(0.02)
    (tmp_path / "build/one/manifest.json").write_text("newer", "utf-8")
    assert make("release", "RECIPES=one").returncode == 0
    assert "package one --output release/one.tar" in calls(tmp_path)
    assert make("release", "RECIPES=one", "PACKAGE_FLAGS=--allow-unpinned").returncode == 0
    assert "package one --output release/one.tar --allow-unpinned" in calls(tmp_path)


@pytest.mark.parametrize("jobs", ["-j1", "-j2"])
@pytest.mark.parametrize(("step", "packed"), [("build", False), ("package", True)])
def test_a_failure_stops_no_other_recipe_and_the_page_is_written(
    make: Callable[..., Ran], tmp_path: Path, jobs: str, step: str, packed: bool
) -> None:
    (tmp_path / "fail" / f"{step}-one").write_text("3", "utf-8")
    ended = make(jobs, "release", "RECIPES=one two")
    assert ended.returncode == 2
    assert "Error 3" in ended.stderr
    told = calls(tmp_path)
    assert ("package one --output release/one.tar" in told) == packed
    assert "package two --output release/two.tar" in told
    assert told[-1] == "report build/one build/two --output release"
    assert (tmp_path / "build/one/manifest.json").is_file()  # what a failed build says of itself stays
    assert not (tmp_path / "release/one.tar").is_file()  # what a failed package wrote does not


def test_a_page_with_a_bad_verdict_is_a_failure(make: Callable[..., Ran], tmp_path: Path) -> None:
    program = tmp_path / ".venv/bin/ssdconvert"
    program.write_text(FAKE + "[ $1 != report ]\n", "utf-8")
    assert make("release", "RECIPES=one").returncode == 2


def test_an_unknown_name_is_told_before_any_build(make: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "fail" / "show-nosuch").write_text("2", "utf-8")
    ended = make("release", "RECIPES=one nosuch")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error[show]: nosuch\n")
    assert calls(tmp_path) == ["show --quiet one", "show --quiet nosuch"]


@pytest.mark.parametrize(
    "names",
    [
        "one a:b",
        "one a;touch x",
        "one ../a",
        "one a%",
        "one A",
        "one a'b",
        "one a\\b",
        "one ä",
        "one -h",
        "",
        " ",
    ],
)
def test_nonsense_in_names_is_one_error(make: Callable[..., Ran], tmp_path: Path, names: str) -> None:
    ended = make("release", f"RECIPES={names}")
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "expected names of recipes" in ended.stderr
    assert calls(tmp_path) == []
    assert not (tmp_path / "x").exists()


def test_each_of_several_jobs_gets_its_share_of_the_cores(make: Callable[..., Ran], tmp_path: Path) -> None:
    def told(*arguments: str, **environment: str) -> str:
        assert make("release", "RECIPES=one", *arguments, **environment).returncode == 0
        (line,) = [
            one for one in (tmp_path / "calls").read_text("utf-8").splitlines() if one.startswith("build")
        ]
        (tmp_path / "calls").unlink()
        return line.split(" threads=")[1].split()[0]

    assert told("CORES=8") == "unset"
    assert told("-j2", "CORES=8") == "4"
    assert told("-j3", "CORES=8") == "2"
    assert told("-j16", "CORES=8") == "1"
    assert told("-j2", "CORES=8", OMP_NUM_THREADS="3") == "3"


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("build-one", "build one --tail heads"),
        ("verify-one", "verify one --tail heads"),
        ("fetch", "fetch a b"),
        ("bundle", "fetch a b --bundle over/there.tar"),
    ],
)
def test_the_single_steps(make: Callable[..., Ran], tmp_path: Path, target: str, command: str) -> None:
    arguments = (target, "FLAGS=--tail heads", "RECIPES=a b", "BUNDLE=over/there.tar")
    assert make(*arguments).returncode == 0
    assert calls(tmp_path)[-1] == command


def test_the_mirror_reaches_ssdconvert(make: Callable[..., Ran], tmp_path: Path) -> None:
    assert make("build-one", "MIRROR=some where").returncode == 0
    assert (tmp_path / "calls").read_text("utf-8").strip().endswith("mirror=some where")


def test_a_dry_run_shows_every_command_and_makes_nothing(make: Callable[..., Ran], tmp_path: Path) -> None:
    ended = make("-n", "-j2", "release", "RECIPES=one two")
    assert ended.returncode == 0
    for command in ("build 'one'", "package 'two' --output 'release/two.tar'", "report build/one build/two"):
        assert command in ended.stdout
    assert not (tmp_path / "build").exists()
    assert not (tmp_path / "release").exists()
    for target in ("demo", "test", "test-slow", "lint", "bench", "clean"):
        assert make("-n", target).returncode == 0, target
    assert calls(tmp_path) == []
