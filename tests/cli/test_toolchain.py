"""`toolchain` by hand."""

import re
from collections.abc import Callable
from typing import Any


def test_nothing_is_installed(run: Callable[..., Any]) -> None:
    ended = run("toolchain", "list")
    assert ended.code == 0
    assert re.search(r"^caffe +missing ", ended.out, re.MULTILINE)
    assert "ssdconvert toolchain add NAME" in ended.out
    (entry,) = [entry for entry in run("toolchain", "list", "--json").document if entry["name"] == "caffe"]
    assert entry.keys() == {"name", "state", "title", "path", "megabytes", "python"}
    assert (entry["state"], entry["python"]) == ("missing", "3.9 to 3.12")


def test_check_of_what_is_missing(run: Callable[..., Any]) -> None:
    ended = run("toolchain", "check", "caffe")
    assert ended.code == 5
    assert ended.out == ""
    assert ended.err.startswith("error[toolchain]: the toolchain caffe is not installed")
    assert "hint: install it: ssdconvert toolchain add caffe" in ended.err


def test_check(run: Callable[..., Any], caffe_toolchain: Any) -> None:
    ended = run("toolchain", "check", "caffe", "--json")
    assert ended.code == 0
    assert ended.document["versions"]["protobuf"] == "3.20.3"
    assert ended.document["path"] == str(caffe_toolchain.folder)
    assert re.search(r"^caffe +ready ", run("toolchain", "list").out, re.MULTILINE)


def test_add_with_an_interpreter_that_does_not_run(run: Callable[..., Any]) -> None:
    ended = run("toolchain", "add", "caffe", "--interpreter", "/no/python", "--json")
    assert ended.code == 5
    assert "/no/python does not run" in ended.document["error"]["message"]


def test_an_unknown_toolchain(run: Callable[..., Any]) -> None:
    for command in ("add", "remove", "check"):
        assert run("toolchain", command, "tensorflow").code == 2


def test_remove_of_what_is_missing(run: Callable[..., Any]) -> None:
    assert run("toolchain", "remove", "caffe").out == "caffe was not installed\n"
    assert run("toolchain", "remove", "caffe", "--json").document == {"name": "caffe", "removed": False}


def test_help(run: Callable[..., Any]) -> None:
    told = run("toolchain", "--help").out
    for command in ("list", "add", "remove", "check"):
        assert f"  {command} " in told
