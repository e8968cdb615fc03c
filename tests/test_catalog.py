import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from ssdconvert.catalog import Catalog, shipped_recipes_folder
from ssdconvert.errors import RecipeError
from ssdconvert.resources import package_file

MIRROR = Path(__file__).resolve().parents[2] / "shared" / "mirror"
SHIPPED = sorted(path.stem for path in shipped_recipes_folder().glob("*.yaml"))


def write_recipe(folder: Path, name: str, title: str = "Mine", more: str = "") -> Path:
    """Write a copy of a shipped recipe under another name."""
    text = (shipped_recipes_folder() / "ultraface-rfb-320.yaml").read_text(encoding="utf-8")
    lines = text.splitlines()
    lines[1:3] = [f"name: {name}", f"title: {title}"]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text("\n".join(lines) + "\n" + more, encoding="utf-8")
    return path


def install_plugin(site: Path, entry_point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an installed distribution, as importlib.metadata sees it, with that one entry point."""
    info = site / "someplugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: someplugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ssdconvert.recipes]\n{entry_point}\n")
    monkeypatch.syspath_prepend(str(site))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_load(name: str) -> None:
    entry = Catalog().find(name)
    assert (entry.recipe.name, entry.path) == (name, shipped_recipes_folder() / f"{name}.yaml")


def test_the_issue_s_recipes_are_shipped() -> None:
    assert {"ssd-demo", "ultraface-rfb-320", "ultraface-slim-320"} <= set(SHIPPED)
    assert {"ultraface-rfb-320-onnx", "ultraface-slim-320-onnx"} <= set(SHIPPED)
    assert {"ssd-resnet34-1200", "ssd300-resnet50", "ssd300-resnet50-hub"} <= set(SHIPPED)
    assert {"ssd300-vgg16", "ssdlite320-mobilenet-v3"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_fit_their_networks(name: str) -> None:
    """Their input and options are taken, and the heads' outputs are those of the labels."""
    import torch

    from ssdconvert.networks import build_network

    recipe = Catalog().find(name).recipe
    if recipe.source.kind != "pytorch":
        return
    height, width = recipe.input.shape[2:]
    with torch.device("meta"):
        network = build_network(recipe.source.network, height, width, recipe.classes, recipe.source.options)
        logits, offsets = network.eval()(torch.zeros(1, 3, height, width))
    count = len(network.default_boxes())  # type: ignore[operator]
    assert logits.shape == (1, count, recipe.classes)
    assert offsets.shape == (1, count, 4)


@pytest.mark.skipif(not MIRROR.is_dir(), reason="no ../shared/mirror")
@pytest.mark.parametrize("name", [name for name in SHIPPED if (MIRROR / name).is_dir()])
def test_shipped_digests_are_those_of_the_mirror(name: str) -> None:
    for file in Catalog().find(name).recipe.source.files:
        path = MIRROR / name / file.name
        if path.exists():
            assert file.size == path.stat().st_size
            assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_all_entries_are_sorted_and_first_folder_wins(tmp_path: Path) -> None:
    write_recipe(tmp_path / "first", "ssd-demo", title="First")
    write_recipe(tmp_path / "second", "ssd-demo", title="Second")
    write_recipe(tmp_path / "second", "another")
    catalog = Catalog([tmp_path / "first", tmp_path / "second"])
    assert [entry.recipe.name for entry in catalog.all_entries()] == sorted({*SHIPPED, "another"})
    assert catalog.find("ssd-demo").recipe.title == "First"
    assert catalog.warnings == []


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ""])
def test_find_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    path = write_recipe(tmp_path, "mine")
    path = path.rename(path.with_suffix(suffix))
    monkeypatch.chdir(tmp_path)
    assert Catalog().find(f"mine{suffix}").recipe.name == "mine"
    assert Catalog().find(f"./mine{suffix}").recipe.name == "mine"
    assert Catalog().find(str(path)).path == path


def test_a_name_goes_before_a_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ssd-demo").write_text("no recipe")
    monkeypatch.chdir(tmp_path)
    assert Catalog().find("ssd-demo").path.parent == shipped_recipes_folder()


def test_two_recipes_of_one_name_are_not_built_together(tmp_path: Path) -> None:
    mine = write_recipe(tmp_path, "ultraface-rfb-320")
    shipped = shipped_recipes_folder() / mine.name
    with pytest.raises(RecipeError, match="two recipes of the name ultraface-rfb-320"):
        Catalog().find_all(["ssd-demo", "ultraface-rfb-320", str(mine)])
    found = Catalog([tmp_path]).find_all(["ultraface-rfb-320", str(mine), "ssd-demo"])
    assert [entry.path for entry in found] == [mine, mine, shipped.with_name("ssd-demo.yaml")]


def test_unknown_name_suggests_near_ones() -> None:
    with pytest.raises(RecipeError) as caught:
        Catalog().find("ultraface-rbf-320")
    assert caught.value.message.startswith(
        "unknown recipe 'ultraface-rbf-320': did you mean 'ultraface-rfb-320'"
    )
    assert "ssdconvert list" in caught.value.hint
    with pytest.raises(RecipeError, match=r"^unknown recipe 'zzz'$"):
        Catalog().find("zzz")


def test_name_and_file_name_differ(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, "mine").rename(tmp_path / "yours.yaml")
    with pytest.raises(RecipeError) as caught:
        Catalog([tmp_path]).find("yours")
    assert caught.value.message == f"{path}: name: expected 'yours', the file's name, got 'mine'"


def test_a_broken_recipe_is_a_warning_in_the_list_and_an_error_when_asked_for(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, "broken", more="nonsense: 1\n")
    catalog = Catalog([tmp_path])
    assert [entry.recipe.name for entry in catalog.all_entries()] == SHIPPED
    assert len(catalog.warnings) == 1
    assert f"{path}:" in catalog.warnings[0]
    with pytest.raises(RecipeError, match="nonsense: unknown key"):
        catalog.find("broken")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot read this folder of recipes") as caught:
        Catalog([tmp_path / "none"])
    assert "SSDCONVERT_RECIPES" in caught.value.hint


def test_pictures_are_relative_to_the_recipe_or_the_package(tmp_path: Path) -> None:
    write_recipe(tmp_path, "mine", more="pictures: [images/a.png, package:demo/b.png]\n")
    assert Catalog([tmp_path]).find("mine").pictures() == [
        tmp_path / "images/a.png",
        package_file("package:demo/b.png"),
    ]


@pytest.mark.parametrize("value", ["some_plugin_package", "some_plugin_module", "some_plugin_module:folder"])
def test_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    site = tmp_path / "site"
    recipes = {
        "some_plugin_package": site / "some_plugin_package",
        "some_plugin_module": site,
        "some_plugin_module:folder": tmp_path / "elsewhere",
    }[value]
    write_recipe(recipes, "from-plugin")
    install_plugin(site, f"mine = {value}", monkeypatch)
    (site / "some_plugin_package").mkdir(exist_ok=True)
    (site / "some_plugin_package" / "__init__.py").touch()
    (site / "some_plugin_module.py").write_text(f"def folder(): return {str(tmp_path / 'elsewhere')!r}")
    for module in ("some_plugin_package", "some_plugin_module"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    catalog = Catalog()
    assert catalog.find("from-plugin").path == recipes / "from-plugin.yaml"
    assert "from-plugin" in [entry.recipe.name for entry in catalog.all_entries()]


def test_a_broken_plugin_is_named_when_its_recipe_may_be_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_plugin(tmp_path, "theirs = no_such_module_of_theirs", monkeypatch)
    catalog = Catalog()
    assert catalog.find("ssd-demo").recipe.name == "ssd-demo"
    assert catalog.warnings == []
    assert [entry.recipe.name for entry in catalog.all_entries()] == SHIPPED
    warning = "plug-in 'theirs' (no_such_module_of_theirs): ModuleNotFoundError: No module named"
    assert [text.startswith(warning) for text in catalog.warnings] == [True]
    with pytest.raises(RecipeError) as caught:
        Catalog().find("from-plugin")
    assert "unknown recipe 'from-plugin'" in caught.value.message
    assert warning in caught.value.message


def test_the_catalog_needs_no_heavy_import() -> None:
    code = "import sys; from ssdconvert.catalog import Catalog; Catalog().all_entries(); print(*sys.modules)"
    environment = {"PYTHONPATH": str(package_file("package:").parent), "PATH": ""}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert not {"torch", "numpy", "openvino", "onnx", "onnxruntime", "cv2", "PIL"} & set(run.stdout.split())
