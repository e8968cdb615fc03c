"""What a toolchain's worker is asked and answers, and how a session with it may end."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ssdconvert.errors import ConversionError, EngineFailure
from ssdconvert.toolchains import KINDS, environment, session, worker
from ssdconvert.toolchains.call import Toolchain

Behave = Callable[[str], None]
PREAMBLE = """
import json, os, sys, time

def answer(line):
    print(line if isinstance(line, str) else json.dumps(line), flush=True)

"""


@pytest.fixture
def toolchain(tmp_path: Path) -> Toolchain:
    """A toolchain whose interpreter is ours."""
    python = tmp_path / "toolchain" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(os.path.realpath(sys.executable))
    return Toolchain(KINDS["caffe"], tmp_path / "toolchain")


@pytest.fixture
def behave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Behave:
    """Put a script in the worker's place."""

    def put(script: str) -> None:
        path = tmp_path / "other_worker.py"
        path.write_text(PREAMBLE + textwrap.dedent(script))
        monkeypatch.setattr(session, "WORKER", path)

    return put


def failure(toolchain: Toolchain, timeout: float = 60) -> ConversionError:
    with pytest.raises(EngineFailure) as raised:
        toolchain.call("about", {"modules": [], "distributions": []}, timeout, stage="convert")
    assert raised.value.stage == "convert"
    assert raised.value.exit_code == 4
    assert raised.value.hint
    return raised.value


def test_about(toolchain: Toolchain) -> None:
    told = toolchain.call("about", {"modules": ["json"], "distributions": ["pip", "no-such-thing"]})
    assert told["python"] == ".".join(map(str, sys.version_info[:3]))
    assert told["versions"]["no-such-thing"] is None


@pytest.mark.parametrize("module", ["openvino_telemetry", "environment", "call", "ssdconvert"])
def test_what_a_worker_cannot_import(toolchain: Toolchain, module: str) -> None:
    with pytest.raises(ConversionError, match=f"cannot about: .*{module}"):
        toolchain.call("about", {"modules": [module], "distributions": []})


def test_its_environment(toolchain: Toolchain, behave: Behave, monkeypatch: pytest.MonkeyPatch) -> None:
    behave('answer({"protocol": 2, "result": dict(os.environ)}); input()')
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("PIP_INDEX_URL", "kept")
    monkeypatch.delenv("CI", raising=False)
    told = toolchain.call("about", {})
    assert "PYTHONPATH" not in told
    assert (told["CI"], told["PYTHONHASHSEED"], told["PIP_INDEX_URL"]) == ("true", "0", "kept")
    assert told["HOME"] != os.environ["HOME"]
    assert not Path(told["HOME"]).exists()  # it was made for the call, and is gone


def test_several_tasks(toolchain: Toolchain) -> None:
    asked = toolchain.session("verify")
    for module in ("json", "csv"):
        assert asked.ask("about", {"modules": [module], "distributions": []}, 60)["versions"] == {}
    with pytest.raises(ConversionError, match="no-such-module"):  # what fails does not end it
        asked.ask("about", {"modules": ["no-such-module"], "distributions": []}, 60)
    assert asked.ask("about", {"modules": [], "distributions": []}, 60)["python"]


def test_a_session_that_is_dropped(toolchain: Toolchain) -> None:
    asked = toolchain.session("verify")
    folder, process = asked.folder, asked._worker
    assert folder.is_dir()
    assert process.poll() is None
    del asked
    assert process.poll() is not None
    assert not folder.exists()


def test_what_a_task_prints(toolchain: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prints, those of C and of started programs too, do not get between the answers."""
    (tmp_path / "loud.py").write_text(
        "import os, sys\nprint('by Python')\nos.write(1, b'by C\\n')\nos.system('echo by a program')\n"
    )
    copy = tmp_path / "worker.py"  # beside loud.py, and told to look there
    shutil.copytree(Path(worker.__file__).with_name("tasks"), tmp_path / "tasks")
    copy.write_text(Path(worker.__file__).read_text().replace("del sys.path[0]", "pass"))
    monkeypatch.setattr(session, "WORKER", copy)
    assert toolchain.call("about", {"modules": ["loud"], "distributions": []})["python"]


def test_a_task_that_there_is_none_of(toolchain: Toolchain) -> None:
    with pytest.raises(ConversionError, match="this worker has no task dance"):
        toolchain.call("dance", {})


def test_a_request_in_another_protocol() -> None:
    assert worker.answer_to({"protocol": 99, "task": "about", "arguments": {}}) == {
        "protocol": 2,
        "error": "asked in protocol 99, this worker speaks 2",
    }


def test_arguments_that_a_task_does_not_take(toolchain: Toolchain) -> None:
    with pytest.raises(ConversionError, match="unexpected keyword argument 'colour'"):
        toolchain.call("about", {"colour": "red"})


@pytest.mark.parametrize("python", ["3.8", "3.9", "3.10", "3.12", "3.13"])
def test_it_runs_on_every_python(python: str) -> None:
    """A Python that is not on this machine is told of by name."""
    found = [path for path in candidates_on_this_machine(python) if _runs(path)]
    if not found:
        pytest.skip(f"there is no Python {python} on this machine")
    request = {"protocol": 2, "task": "about", "arguments": {"modules": ["json"], "distributions": []}}
    done = subprocess.run(
        [found[0], worker.__file__], input=json.dumps(request), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["result"]["python"].startswith(f"{python}.")


def candidates_on_this_machine(python: str) -> list[str]:
    return [f"python{python}", *(path for path in environment._managed() if f"{python}." in path)]


def _runs(python: str) -> bool:
    return environment._version_of(python) is not None


def test_an_answer_in_another_protocol(toolchain: Toolchain, behave: Behave) -> None:
    behave('answer({"protocol": 3, "result": {}}); input()')
    assert failure(toolchain).message == "the toolchain caffe answers in protocol 3, expected 2"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            "sys.stderr.write('no more memory\\n'); sys.exit(3)",
            r"code 3 and without an answer \(no more memory\)",
        ),
        ("os.kill(os.getpid(), 11)", "was killed by SIGSEGV"),
        ("input(); os.kill(os.getpid(), 11)", "was killed by SIGSEGV"),
        ("os._exit(0)", "ended with code 0 and without an answer"),
        ("answer('{')", "gave an answer to about that is none"),
        ("answer('[]')", "gave an answer to about that is none"),
        ("answer('')", "gave an answer to about that is none"),
        ("sys.stdout.buffer.write(bytes(range(256)) + b'\\n')", "gave an answer to about that is none"),
        ("answer({'protocol': 2})", "gave an answer to about that is none"),
        ("os.close(1); time.sleep(60)", "closed its output"),
    ],
)
def test_a_worker_that_gives_no_answer(
    toolchain: Toolchain, behave: Behave, monkeypatch: pytest.MonkeyPatch, script: str, told: str
) -> None:
    monkeypatch.setattr(session, "PATIENCE", 0.5)
    behave(script)
    with pytest.raises(ConversionError, match=told):
        toolchain.call("about", {})


def test_a_worker_that_takes_too_long(toolchain: Toolchain, behave: Behave, tmp_path: Path) -> None:
    behave(f"os.system('sleep 60 & echo $! > {tmp_path}/started'); time.sleep(60)")
    assert failure(toolchain, timeout=1).message == "the toolchain caffe did not finish about in 1 s"
    started = int((tmp_path / "started").read_text())
    assert ended_within_seconds(started)  # it has ended with the worker that started it


def ended_within_seconds(process: int) -> bool:
    for _ in range(100):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_worker_that_crashes_later(toolchain: Toolchain, behave: Behave) -> None:
    behave("""
        input()
        answer({"protocol": 2, "result": {}})
        input()
        os.kill(os.getpid(), 9)
    """)
    asked = toolchain.session("verify")
    asked.ask("open_model", {}, 60)
    with pytest.raises(ConversionError, match="was killed by SIGKILL in 'infer'"):
        asked.ask("infer", {}, 60)
    with pytest.raises(ConversionError, match="the toolchain caffe is not running any more"):
        asked.ask("infer", {}, 60)


def test_an_answer_without_what_it_should_have(toolchain: Toolchain, behave: Behave) -> None:
    behave('answer({"protocol": 2, "result": {}}); input()')
    with pytest.raises(EngineFailure, match="gave an answer to infer that is none"):
        toolchain.session("verify").ask("infer", {}, 60, ["outputs"])


def test_an_interpreter_that_is_gone(toolchain: Toolchain) -> None:
    toolchain.python.unlink()
    assert "does not start: No such file" in failure(toolchain).message
