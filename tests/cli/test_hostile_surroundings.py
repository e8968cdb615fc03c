"""Builds where little is as it should be: a disk that is full or read-only, a wrong clock, no home, odd paths.

Each ends with the same bytes as in a good place, or says what is wrong and leaves nothing half-written.
Two builds of one recipe at once are in test_together.py, builds that are killed in test_killed_builds.py.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.catalog import shipped_recipes_folder
from ssdconvert.resources import package_file
from ssdconvert.workspace import digest_of

MODULE = [sys.executable, "-m", "ssdconvert"]
ROOT = Path(__file__).resolve().parents[2]
REPORTS = ("report.html", "report.md", "report.xml")
ODD = os.fsdecode(b"-caf\xe9 \xc3\xbcber\n")  # a dash, a byte that is no UTF-8, a space, an umlaut, a newline
SHOWN = "-caf\\xe9 über\n"


def ssdconvert(*arguments: str | Path, **how: Any) -> "subprocess.CompletedProcess[str]":
    """Run a command in a process of its own."""
    how = {"capture_output": True, "timeout": 300, **how}
    return subprocess.run([*MODULE, *map(str, arguments)], encoding="utf-8", check=False, **how)


def digests(build: Path) -> dict[str, str]:
    """Return the digests of a build's files under final names; nothing temporary may be there."""
    files = [path for path in build.rglob("*") if path.is_file() and path.name != "lock"]
    assert not list(build.rglob(".tmp-*"))
    records = build / ".ssdconvert/stages.json"
    return {path.relative_to(build).as_posix(): digest_of(path) for path in files if path != records}


def expected_failure(ended: "subprocess.CompletedProcess[str]", code: int, *words: str) -> None:
    assert ended.returncode == code, ended.stderr
    assert ended.stderr.count("error[") == 1, ended.stderr
    assert "hint: " in ended.stderr
    assert "Traceback" not in ended.stderr
    for word in words:
        assert word in ended.stderr


@pytest.fixture
def right(built: Path) -> dict[str, str]:
    """The digests of a build of ssd-demo in a good place."""
    return digests(built / "build/ssd-demo")


@pytest.fixture
def namespace() -> list[str]:
    """A command line's beginning under which mounts can be made, and are gone afterwards."""
    prefix = ["unshare", "--map-root-user", "--mount"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*prefix, "mount", "-t", "tmpfs", "x", "/mnt"]).returncode
    ):
        pytest.skip("nothing can be mounted here: unprivileged namespaces of users and mounts are needed")
    return prefix


def without_reports(build: Path) -> Path:
    """Delete what takes a second to make again, so that a build has something to write."""
    for name in REPORTS:
        (build / name).unlink()
    return build


READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


@pytest.fixture
def in_read_only(namespace: list[str]) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run a command with a folder that cannot be written, not by root either."""

    def call(folder: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        command = [*namespace, "sh", "-c", READ_ONLY, str(folder), *MODULE, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, check=False)

    return call


def test_a_read_only_cache_with_the_files_in_it(
    built: Path, demo: Path, tmp_path: Path, in_read_only: Callable[..., Any], right: dict[str, str]
) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(built / "cache" / "ssd-demo", cache / "ssd-demo")
    before = sorted(cache.rglob("*"))
    (demo / ".ssdconvert/exported.onnx").unlink()  # the original must be loaded
    ended = in_read_only(cache, "build", "ssd-demo", "--output", demo, "--cache", cache)
    assert ended.returncode == 0, ended.stderr
    assert sorted(cache.rglob("*")) == before
    assert digests(demo) == right


@pytest.mark.slow
def test_a_read_only_cache_that_was_filled_by_hand(
    built: Path, tmp_path: Path, in_read_only: Callable[..., Any]
) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(built / "cache" / "ssd-demo", cache / "ssd-demo")
    (cache / "ssd-demo" / "lock.json").unlink()
    ended = in_read_only(cache, "fetch", "ssd-demo", "--cache", cache, "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)[0]["origin"] == "cache"


def test_a_read_only_cache_without_the_files(tmp_path: Path, in_read_only: Callable[..., Any]) -> None:
    (tmp_path / "cache").mkdir()
    ended = in_read_only(tmp_path / "cache", "fetch", "ssd-demo", "--cache", tmp_path / "cache")
    expected_failure(ended, 3, "cache", "Read-only file system", "--cache")


def test_a_read_only_output_folder(
    demo: Path, in_read_only: Callable[..., Any], right: dict[str, str]
) -> None:
    expected_failure(
        in_read_only(demo, "build", "ssd-demo", "--output", demo), 2, "cannot be written", "--output"
    )
    assert digests(demo) == right


FILL = """
import subprocess, sys
disk, results, cache, *sizes = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", disk], check=True)
for size in sizes:
    subprocess.run(["mount", "-o", f"remount,size={size}k", disk], check=True)
    with open(f"{results}/{size}.txt", "w") as told:
        command = [sys.executable, "-m", "ssdconvert", "build", "ssd-demo", "--output", f"{disk}/out", "--cache", cache]
        code = subprocess.run(command, stdout=told, stderr=told).returncode
        told.write(f"ended with {code}")
    subprocess.run(["cp", "-r", f"{disk}/out", f"{results}/{size}"], check=True)
"""


@pytest.mark.slow
def test_a_full_disk(built: Path, tmp_path: Path, namespace: list[str], right: dict[str, str]) -> None:
    """Full while OpenVINO saves the weights, the .xml, and while it reports; then there is room."""
    disk, results = tmp_path / "disk", tmp_path / "results"
    disk.mkdir()
    results.mkdir()
    sizes = {"2800": "convert", "4800": "convert", "5600": "verify", "7260": "report", "30000": ""}
    command = [*namespace, sys.executable, "-c", FILL, str(disk), str(results), str(built / "cache"), *sizes]
    subprocess.run(command, check=True, timeout=300)
    for size, stage in sizes.items():
        told = (results / f"{size}.txt").read_text("utf-8")
        found = digests(results / size)
        if stage:
            assert told.endswith("ended with 2"), told
            assert f"error[output]: {stage}: [Errno 28] No space left on device" in told
            assert "hint: make " in told
            assert "Traceback" not in told
            assert found.items() < right.items()
            assert "manifest.json" not in found
        else:
            assert told.endswith("ended with 0"), told
            assert found == right


CLOCK = """
import time
REAL, START = time.time, time.time()
time.time = lambda: 315532800.0 + REAL() - START
time.time_ns = lambda: int(time.time() * 1e9)
def then(real):
    return lambda seconds=None: real(time.time() if seconds is None else seconds)
time.gmtime, time.localtime = then(time.gmtime), then(time.localtime)
"""


@pytest.mark.slow
def test_a_clock_in_1980_a_bare_environment_and_no_utf_8(
    built: Path, tmp_path: Path, right: dict[str, str]
) -> None:
    """Without HOME, USER, XDG_*, PATH; TMPDIR is nowhere; the cache's files are older than a zip file can tell."""
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(CLOCK, "utf-8")
    shutil.copytree(built / "cache", tmp_path / "cache")
    for path in (tmp_path / "cache").rglob("*"):
        os.utime(path, (0, 0))
    environment = {
        "PYTHONPATH": f"{tmp_path / 'clock'}{os.pathsep}{ROOT}",
        "TMPDIR": str(tmp_path / "nowhere"),
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        # sums of another number of threads are other numbers in the report
        **{name: value for name, value in os.environ.items() if name == "OMP_NUM_THREADS"},
    }
    clock = [sys.executable, "-c", "import time; print(time.gmtime().tm_year)"]
    assert subprocess.run(clock, env=environment, capture_output=True, text=True).stdout == "1980\n"
    paths = ("--output", "out", "--cache", "cache")
    ended = ssdconvert("build", "ssd-demo", *paths, "--json", cwd=tmp_path, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["verdict"] == "pass"
    assert digests(tmp_path / "out") == right
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "clock", "out"]


@pytest.mark.slow
def test_paths_of_any_bytes(tmp_path: Path, right: dict[str, str]) -> None:
    """Recipe, output, cache, pictures: a byte that is no UTF-8 is shown as `\\xe9`, and JSON stays JSON."""
    recipe = Path(ODD, "ssd-demo.yaml")
    (tmp_path / ODD).mkdir()
    shutil.copy(shipped_recipes_folder() / recipe.name, tmp_path / recipe)
    picture = Path(f"{ODD}.png")
    shutil.copy(package_file("package:images/shapes-2.jpg"), tmp_path / picture)
    cache = f"--cache=cache{ODD}"

    ended = ssdconvert("build", f"--output={ODD}", cache, "--json", "--", recipe, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout
    document = json.loads(ended.stdout)
    assert (document["verdict"], document["output"]) == ("pass", SHOWN)
    assert {entry["path"]: entry["sha256"] for entry in document["artifacts"]}.items() <= right.items()
    (tmp_path / recipe).unlink()
    assert digests(tmp_path / ODD) == right

    for suffix in (".xml", ".bin"):
        shutil.copy(tmp_path / ODD / f"FP32/ssd-demo{suffix}", tmp_path / f"{ODD}{suffix}")
    drawing = f"--output={ODD}/{ODD}.jpg"
    ended = ssdconvert("detect", drawing, "--json", "--", f"{ODD}.xml", picture, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert (document["image"], document["output"]) == (f"{SHOWN}.png", f"{SHOWN}/{SHOWN}.jpg")
    assert len(document["detections"]) == 5
    assert (tmp_path / ODD / f"{ODD}.jpg").stat().st_size > 10_000
    ended = ssdconvert("detect", "--no-picture", "--", f"{ODD}.xml", picture, cwd=tmp_path)
    assert (ended.returncode, SHOWN in ended.stderr) == (0, True)

    graph = f"--against={ODD}/ssd-demo.onnx"
    given = ["--recipe", "ssd-demo", f"--image={picture}", f"--output=report{ODD}"]
    ended = ssdconvert("verify", graph, *given, "--json", "--", f"{ODD}.xml", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert f"{SHOWN}.png" in {check["input"] for check in json.loads(ended.stdout)["checks"]}
    assert f"{SHOWN}.png" in (tmp_path / f"report{ODD}" / "report.html").read_text("utf-8")

    ended = ssdconvert("fetch", "ssd-demo", f"--cache=other{ODD}", "--json", cwd=tmp_path)
    assert json.loads(ended.stdout)[0]["path"] == f"other{SHOWN}/ssd-demo/ssd-demo.pytorch"


def test_failures_tell_paths_of_any_bytes(tmp_path: Path) -> None:
    missing = f"{ODD}.yaml"
    ended = ssdconvert("build", "--", missing, cwd=tmp_path)
    expected_failure(ended, 2, f"{SHOWN}.yaml")
    ended = ssdconvert("build", "--json", "--", missing, cwd=tmp_path)
    assert f"{SHOWN}.yaml" in json.loads(ended.stdout)["error"]["message"]
    ended = ssdconvert("build", "--log-format", "json", "--", missing, cwd=tmp_path)
    assert f"{SHOWN}.yaml" in json.loads(ended.stderr)["error"]["message"]


def test_a_terminal_of_another_encoding_gets_json_all_the_same(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    ended = ssdconvert("build", "--json", "--", f"{ODD}→.yaml", cwd=tmp_path, env=environment)
    assert ended.stdout.isascii()
    assert f"{SHOWN}→.yaml" in json.loads(ended.stdout)["error"]["message"]
    ended = ssdconvert("build", "--", "→.yaml", cwd=tmp_path, env=environment)
    expected_failure(ended, 2, "\\u2192.yaml")


def test_a_user_whom_the_system_does_not_know(built: Path, tmp_path: Path) -> None:
    """As in a container with `--user 12345` and no HOME: it works where --cache says where, and asks else."""
    unknown = ["unshare", "--map-user=12345"]
    if shutil.which("unshare") is None or subprocess.run([*unknown, "true"], check=False).returncode:
        pytest.skip("this needs unshare --map-user, of util-linux 2.34")
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}

    def call(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        command = [*unknown, *MODULE, *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, encoding="utf-8", cwd=tmp_path, env=environment, check=False
        )

    expected_failure(call("list"), 2, "no folder for the cache", "--cache")
    expected_failure(call("toolchain", "list"), 2, "no folder for toolchains", "SSDCONVERT_TOOLCHAINS")
    assert call("fetch", "ssd-demo", "--cache", "cache").returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


@pytest.mark.parametrize(
    "closed", [*(pytest.param(one, marks=pytest.mark.slow) for one in (">&-", "2>&-", "<&-")), "<&- >&- 2>&-"]
)
def test_streams_that_are_closed(demo: Path, right: dict[str, str], closed: str) -> None:
    """A file that is opened in their place would get what is printed."""
    without_reports(demo)
    command = ["sh", "-c", f'"$@" {closed}', "sh", *MODULE, "build", "ssd-demo", "--output", str(demo)]
    ended = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, check=False)
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr
    assert digests(demo) == right


@pytest.mark.parametrize("option", ["--json", "-v", "--color=never"])
def test_a_full_stdout(tmp_path: Path, option: str) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full")
    with full.open("w") as stdout:
        ended = ssdconvert("list", option, stdout=stdout, stderr=subprocess.PIPE, capture_output=False)
    assert ended.returncode == 2
    assert "No space left on device" in ended.stderr
    assert ("Traceback" in ended.stderr) is (option == "-v")
    with full.open("w") as both:
        assert ssdconvert("list", option, stdout=both, stderr=both, capture_output=False).returncode == 2


def test_files_have_the_modes_that_the_umask_says(built: Path, tmp_path: Path) -> None:
    mask = 0o042  # gives no mode that a program would choose by itself
    demo = tmp_path / "build"
    ended = ssdconvert("convert", "ssd-demo", "--output", demo, "--cache", built / "cache", umask=mask)
    assert ended.returncode == 0, ended.stderr
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in demo.rglob("*") if path.name != "lock"}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o666 & ~mask}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o777 & ~mask}


def test_an_output_folder_that_is_a_link(demo: Path, tmp_path: Path, right: dict[str, str]) -> None:
    (tmp_path / "link").symlink_to(without_reports(demo))
    ended = ssdconvert("build", "ssd-demo", "--output", tmp_path / "link")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "link").is_symlink()
    assert digests(demo) == right


@pytest.mark.parametrize("kind", ["file", "link to nothing", "pipe"])
def test_an_output_path_that_is_no_folder(tmp_path: Path, kind: str) -> None:
    output = tmp_path / "output"
    if kind == "file":
        output.write_text("mine")
    elif kind == "pipe":
        os.mkfifo(output)
    else:
        output.symlink_to(tmp_path / "nowhere" / "at all")
    ended = ssdconvert("build", "ssd-demo", "--output", output)
    expected_failure(ended, 2, str(output), "--output")
    assert kind != "file" or output.read_text() == "mine"
