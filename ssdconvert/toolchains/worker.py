"""Does tasks in a toolchain: a line of JSON on stdin is a request, a line on stdout its answer.

Python 3.8 and the toolchain's own packages alone: nothing of ssdconvert is there but the files of `tasks/`. A
request is {"protocol", "task", "arguments"}; the answer has the same "protocol" and either "result" or
"error". Arrays are .npy files. What tasks print goes to stderr.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import warnings
from typing import Any

PROTOCOL = 2  # raised when a request or an answer changes its meaning
TASKS = {  # the file of `tasks/` that each is a function of
    "about": "about",
    "convert_caffe": "convert_caffe",
    "convert_onnx": "convert_onnx",
    "open_model": "run_ir",
    "infer": "run_ir",
    "convert_to_ir_v10": "myriad",
    "query": "myriad",
    "compile_blob": "myriad",
}
PACKAGE = "ssdconvert_tasks"


def answer_to(request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request; every failure of a task becomes its "error"."""
    answer = {"protocol": PROTOCOL}
    if request.get("protocol") != PROTOCOL:
        told = "asked in protocol {}, this worker speaks {}".format(request.get("protocol"), PROTOCOL)
        return dict(answer, error=told)
    if request["task"] not in TASKS:
        return dict(answer, error="this worker has no task {}".format(request["task"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return dict(answer, result=_function_of(request["task"])(**request["arguments"]))
        except Exception as error:
            said = importlib.import_module(PACKAGE + ".words").said
            return dict(answer, error=said(error))


def _function_of(task: str) -> Any:
    """Return a task's function; the folder of tasks is a package of a name that hides no other."""
    if PACKAGE not in sys.modules:
        folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tasks")
        spec = importlib.util.spec_from_file_location(
            PACKAGE, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
        )
        assert spec is not None
        sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    return getattr(importlib.import_module(f"{PACKAGE}.{TASKS[task]}"), task)


def main() -> None:
    """Answer each request of stdin."""
    # Model Optimizer falls back to its own stub, which sends nothing
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    # libraries print to stdout, too, and what is started by a task inherits it: answers have a pipe of their own
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(json.dumps(answer_to(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    del sys.path[0]  # this folder, whose names are not modules of the toolchain
    main()
