"""Which extra installs a module that is missing."""

import importlib.metadata
from collections.abc import Callable

import pytest

from ssdconvert.versions import extra_with

REQUIRES = [
    "click>=8.1",
    "openvino>=2024.6; extra == 'check'",
    "openvino==2024.6.0; extra == 'convert'",
    'OpenCV-Python_Headless<5; extra == "convert"',
    "ssdconvert[check]; extra == 'convert'",
]


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("openvino", "check"),
        ("openvino.runtime", "check"),
        ("cv2", "convert"),
        ("click", ""),
        ("nothing", ""),
    ],
)
def test_the_smallest_extra_with_a_module_is_named(
    monkeypatch: pytest.MonkeyPatch, module: str, extra: str
) -> None:
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: REQUIRES)
    assert extra_with(module) == extra


def test_what_is_not_installed_has_no_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    assert extra_with("torch") == ""


def test_a_command_that_needs_more_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import click

    from ssdconvert import cli

    def needs(name: str) -> Callable[[], None]:
        def command() -> None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        return command

    monkeypatch.setattr(importlib.metadata, "requires", lambda name: REQUIRES)
    for module, code, told in (
        ("cv2", 5, "pip install 'ssdconvert[convert]'"),
        ("ssdconvert.x", 70, "a bug"),
    ):
        monkeypatch.setitem(cli.cli.commands, "needs", click.Command("needs", callback=needs(module)))
        with pytest.raises(SystemExit) as ended:
            cli.main(["needs"])
        assert ended.value.code == code
        assert told in capsys.readouterr().err
