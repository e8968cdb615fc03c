"""`toolchain`: other versions of OpenVINO, each in an environment of its own."""

from typing import Any

import click

from ssdconvert.cli.options import Settings, output_options


@click.group("toolchain", short_help="Other OpenVINO versions in their own environments.")
def toolchain_group() -> None:
    """List, add, remove and check toolchains: environments for what cannot run beside ssdconvert.

    Caffe models need one, for example, because the converter for them wants an old protobuf. Nothing is
    installed unless you say `ssdconvert toolchain add NAME`. They lie in the folder SSDCONVERT_TOOLCHAINS,
    or in your data folder.
    """


@toolchain_group.command("list")
@output_options
def list_toolchains(settings: Settings) -> None:
    """Show every toolchain, what it is for, and whether it is installed."""
    from ssdconvert.toolchains import KINDS
    from ssdconvert.toolchains.environment import locate

    documents = []
    for name, kind in KINDS.items():
        place = locate(name)
        documents.append(
            {
                "name": name,
                "state": place.state,
                "title": kind.title,
                "path": str(place.folder),
                "megabytes": kind.megabytes,
                "python": kind.python_range,
            }
        )
    width = max(len(name) for name in KINDS)
    lines = [f"{d['name']:{width}}  {d['state']:10}  {d['title']}" for d in documents]
    if any(document["state"] != "ready" for document in documents):
        lines += ["", "install one with: ssdconvert toolchain add NAME"]
    settings.result("\n".join(lines), documents)


@toolchain_group.command("add")
@click.argument("name")
@click.option("--interpreter", metavar="PY", help="Python to make it with.  [default: the first that fits]")
@output_options
def add_toolchain(name: str, interpreter: str | None, settings: Settings) -> None:
    """Install the toolchain NAME: a virtual environment with pinned packages, by pip, over the network."""
    from ssdconvert.toolchains.environment import add, check

    toolchain = add(name, interpreter, settings.progress)
    _tell(settings, name, str(toolchain.folder), check(name))


@toolchain_group.command("remove")
@click.argument("name")
@output_options
def remove_toolchain(name: str, settings: Settings) -> None:
    """Delete the toolchain NAME from this machine."""
    from ssdconvert.toolchains.environment import remove

    removed = remove(name)
    text = f"{name} is removed" if removed else f"{name} was not installed"
    settings.result(text, {"name": name, "removed": removed})


@toolchain_group.command("check")
@click.argument("name")
@output_options
def check_toolchain(name: str, settings: Settings) -> None:
    """Run the toolchain NAME: does it start, and does it hold the pinned versions?"""
    from ssdconvert.toolchains.environment import check, find

    told = check(name)
    _tell(settings, name, str(find(name).folder), told)


def _tell(settings: Settings, name: str, folder: str, told: dict[str, Any]) -> None:
    document = {"name": name, "state": "ready", "path": folder, **told}
    lines = [f"{name} works: Python {told['python']} in {folder}"]
    lines += [f"  {package:16} {version}" for package, version in told["versions"].items()]
    settings.result("\n".join(lines), document)
