"""What a toolchain's worker is asked and answers, and how it may end."""

import json
import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from ssdconvert.errors import ConversionError
from ssdconvert.toolchains import KINDS, call
from ssdconvert.toolchains.call import Toolchain

Behave = Callable[[str], None]


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
        path.write_text("import json, os, sys, time\n" + textwrap.dedent(script))
        monkeypatch.setattr(call, "WORKER", path)

    return put


def failure(toolchain: Toolchain, timeout: float = 60) -> ConversionError:
    with pytest.raises(ConversionError) as raised:
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
    behave('json.dump({"protocol": 1, "result": dict(os.environ)}, open(sys.argv[2], "w"))')
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("PIP_INDEX_URL", "kept")
    monkeypatch.delenv("CI", raising=False)
    told = toolchain.call("about", {})
    assert "PYTHONPATH" not in told
    assert (told["CI"], told["PYTHONHASHSEED"], told["PIP_INDEX_URL"]) == ("true", "0", "kept")
    assert told["HOME"] != os.environ["HOME"]
    assert not Path(told["HOME"]).exists()  # it was made for the call, and is gone


def test_a_task_that_there_is_none_of(toolchain: Toolchain) -> None:
    with pytest.raises(ConversionError, match="this worker has no task dance"):
        toolchain.call("dance", {})


def test_a_request_in_another_protocol(toolchain: Toolchain, tmp_path: Path) -> None:
    from ssdconvert.toolchains.worker import main

    (tmp_path / "request").write_text(json.dumps({"protocol": 99, "task": "about", "arguments": {}}))
    blocked = sys.modules["openvino_telemetry"]
    main(str(tmp_path / "request"), str(tmp_path / "answer"))
    assert sys.modules["openvino_telemetry"] is blocked is None
    assert json.loads((tmp_path / "answer").read_text()) == {
        "protocol": 1,
        "error": "asked in protocol 99, this worker speaks 1",
    }


def test_an_answer_in_another_protocol(toolchain: Toolchain, behave: Behave) -> None:
    behave('json.dump({"protocol": 2, "result": {}}, open(sys.argv[2], "w"))')
    assert failure(toolchain).message == "the toolchain caffe answers in protocol 2, expected 1"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            "sys.stderr.write('no more memory\\n'); sys.exit(3)",
            r"code 3 and without an answer \(no more memory\)",
        ),
        ("os.kill(os.getpid(), 11)", "was killed by SIGSEGV"),
        ("os._exit(0)", "ended with code 0 and without an answer"),
        ("open(sys.argv[2], 'w').write('{')", "gave an answer to about that is none"),
        ("open(sys.argv[2], 'w').write('[]')", "gave an answer to about that is none"),
        ("open(sys.argv[2], 'w').write('{\"protocol\": 1}')", "gave an answer to about that is none"),
    ],
)
def test_a_worker_that_gives_no_answer(toolchain: Toolchain, behave: Behave, script: str, told: str) -> None:
    behave(script)
    with pytest.raises(ConversionError, match=told):
        toolchain.call("about", {})


def test_a_worker_that_takes_too_long(toolchain: Toolchain, behave: Behave) -> None:
    behave("time.sleep(60)")
    assert failure(toolchain, timeout=0.5).message == "the toolchain caffe did not finish about in 0.5 s"


def test_an_interpreter_that_is_gone(toolchain: Toolchain) -> None:
    toolchain.python.unlink()
    assert "does not start: No such file" in failure(toolchain).message
