"""`build -j 2`: what is told of several recipes at once, how it ends, and what is left when it is stopped."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.cores import cores_allowed

from .conftest import Ended

pytestmark = pytest.mark.skipif(len(cores_allowed()) < 2, reason="on one core recipes are built in turn")


@pytest.fixture
def gone(recipe_file: Callable[..., Path], own_nms: Mapping[str, Any]) -> Path:
    """A recipe whose file is nowhere."""
    return recipe_file(own_nms, {"name": "gone"})


def at_once(run: Callable[..., Ended], *arguments: str | Path) -> Ended:
    return run("build", *arguments, "--offline", "-j", "2")


def test_results_come_in_order_and_one_failure_does_not_stop_the_others(
    run: Callable[..., Ended], demo: Path, gone: Path
) -> None:
    ended = at_once(run, gone, "ssd-demo")
    assert ended.code == 3
    assert "ssd-demo: pass" in ended.out
    lines = ended.err.splitlines()
    assert any(re.fullmatch(r"ssd-demo: verify +cached +up to date", line) for line in lines)
    assert any(line.startswith("gone: error[fetch]: ") for line in lines)
    assert any(line.startswith("error[fetch]: ") for line in lines)


def test_the_document_is_that_of_building_in_turn(run: Callable[..., Ended], demo: Path, gone: Path) -> None:
    together = at_once(run, gone, "ssd-demo", "--json")
    in_turn = run("build", gone, "ssd-demo", "--offline", "--json")
    assert (together.code, in_turn.code) == (3, 3)
    documents = together.document, in_turn.document
    for results in documents:
        results[0]["stages"] = [stage["name"] for stage in results[0]["stages"]]
    assert documents[0] == documents[1]
    assert [result.get("recipe") for result in documents[0]] == ["ssd-demo", None]


def test_events_name_their_recipe(run: Callable[..., Ended], demo: Path, gone: Path) -> None:
    ended = at_once(run, gone, "ssd-demo", "--log-format", "json")
    events = [json.loads(line) for line in ended.err.splitlines()]
    stages = [(event["recipe"], event["name"]) for event in events if event["event"] == "stage"]
    assert ("ssd-demo", "manifest") in stages
    assert ("gone", "fetch") in stages
    assert {event["recipe"] for event in events if event["event"] == "message"} == {"ssd-demo", "gone"}


def test_quiet_tells_errors_alone_and_verbose_where_they_arose(run: Callable[..., Ended], gone: Path) -> None:
    quiet = at_once(run, gone, gone, "-q")
    assert quiet.out == ""
    assert quiet.err.startswith("error[fetch]: ")
    assert quiet.err.count("error[fetch]: ") == 1
    assert "in fetched_files" in at_once(run, gone, gone, "-v").err


def test_a_recipe_that_cannot_be_planned_does_not_stop_the_others(
    run: Callable[..., Ended], demo: Path, recipe_file: Callable[..., Path], documents: Mapping[str, Any]
) -> None:
    picture = {"name": "no-picture", "pictures": ["gone.jpg", "gone.jpg"]}
    ended = at_once(run, recipe_file(documents["onnx"], picture), "ssd-demo")
    assert ended.code != 0
    assert "ssd-demo: pass" in ended.out


@pytest.mark.parametrize("count", ["0", "-2", "two"])
def test_other_counts_are_refused(run: Callable[..., Ended], count: str) -> None:
    ended = run("build", "ssd-demo", "-j", count)
    assert ended.code == 2
    assert "--jobs" in ended.err


@pytest.fixture
def hanging(recipe_file: Callable[..., Path], own_nms: Mapping[str, Any], tmp_path: Path) -> Iterator[Any]:
    """A running `build -j 2` of two recipes whose files never come; killed with all that it has started."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/own-nms.onnx"
        source = {"source.files": [{"name": "own-nms.onnx", "urls": [url]}]}
        recipes = [recipe_file(own_nms, {"name": name, **source}) for name in ("one", "two")]
        command = [sys.executable, "-m", "ssdconvert", "build", *map(str, recipes), "-j", "2"]
        with subprocess.Popen(
            [*command, "--log-format", "json"], cwd=tmp_path, start_new_session=True, stderr=subprocess.PIPE, text=True,
            # a shell in the background leaves it ignored
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as running:  # fmt: skip
            try:
                server.settimeout(60)
                kept = [server.accept()[0] for _ in recipes]  # both are fetching
                yield running
            finally:
                for connection in kept:
                    connection.close()
                if living(running.pid):
                    os.killpg(running.pid, signal.SIGKILL)


def living(group: int) -> bool:
    """Whether a process of a group is there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def gone_within(group: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while living(group) and time.monotonic() < until:
        time.sleep(0.05)
    return not living(group)


def test_ctrl_c_ends_all_at_once(hanging: Any, tmp_path: Path) -> None:
    os.killpg(hanging.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    _, told = hanging.communicate(timeout=30)
    assert hanging.returncode == 130
    assert json.loads(told.splitlines()[-1])["error"]["stage"] == "interrupted"
    assert "Traceback" not in told
    assert gone_within(hanging.pid, 5)
    assert not list((tmp_path / "build").rglob(".tmp-*"))


def test_processes_end_with_the_one_that_started_them(hanging: Any) -> None:
    hanging.kill()
    hanging.wait(timeout=30)
    assert gone_within(hanging.pid, 10)


@pytest.mark.slow
def test_the_files_are_those_of_building_in_turn(
    run: Callable[..., Ended], built: Path, recipe_file: Callable[..., Path], own_nms: Mapping[str, Any], tmp_path: Path
) -> None:  # fmt: skip
    """Reports, and the manifest that names them, differ where sums of floats depend on the number of threads."""
    recipe = recipe_file(own_nms)
    options = ["--mirror", str(tmp_path / "mirror")]
    assert run("build", recipe, "ssd-demo", "-j", "2", *options).code == 0
    together = digests(tmp_path / "build")
    shutil.rmtree(tmp_path / "build")
    assert run("build", recipe, *options).code == 0
    assert together == digests(tmp_path / "build") | digests(built / "build")


def digests(build: Path) -> dict[str, str]:
    from ssdconvert.workspace import digest_of

    files = [path for path in build.rglob("*") if path.is_file() and ".ssdconvert" not in path.parts]
    kept = [path for path in files if not path.name.startswith(("report.", "manifest."))]
    return {path.relative_to(build).as_posix(): digest_of(path) for path in kept}
