"""What runs, what is skipped, and why; that the same inputs give the same bytes."""

import re
import shutil
from pathlib import Path

import pytest

from ssdconvert.build_result import BuildOptions, BuildResult
from ssdconvert.catalog import Catalog, shipped_recipes_folder
from ssdconvert.devices import Machine
from ssdconvert.errors import ConversionError, MissingDevice, RecipeError
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.pipeline import STAGES, build
from ssdconvert.release.names import DOCUMENTS
from ssdconvert.resources import package_file
from ssdconvert.workspace import digest_of


def built(recipe: Path | str, folder: Path, output: str = "out", until: str = "manifest") -> BuildResult:
    options = BuildOptions(folder / output, FetchOptions(folder / "cache"))
    return build(Catalog().find(str(recipe)), options, until)


def statuses(result: BuildResult) -> dict[str, str]:
    return {stage.name: stage.status for stage in result.stages}


def reason(result: BuildResult, name: str) -> str:
    return next(stage.reason for stage in result.stages if stage.name == name)


def artefacts(folder: Path) -> dict[str, str]:
    files = (
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("lock", "stages.json", "recipe")
    )
    return {path.relative_to(folder).as_posix(): digest_of(path) for path in files}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one build of ssd-demo in `out`."""
    folder = tmp_path_factory.mktemp("pipeline")
    result = built("ssd-demo", folder)
    assert result.verdict == "pass"
    assert [stage.name for stage in result.stages] == [n for n in STAGES if n not in ("quantize", "myriad")]
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A copy of ssd-demo's recipe that may be changed."""
    path = tmp_path / "ssd-demo.yaml"
    shutil.copy(shipped_recipes_folder() / "ssd-demo.yaml", path)
    return path


@pytest.fixture
def of_one_precision(recipe: Path) -> Path:
    """That recipe with FP32 alone, which is judged in half the time."""
    text = recipe.read_text("utf-8")
    assert "precisions: [FP32, FP16]" in text
    recipe.write_text(text.replace("precisions: [FP32, FP16]", "precisions: [FP32]"), "utf-8")
    return recipe


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy of the built folder that may be changed."""
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy"


def test_every_promised_file_is_there(folder: Path) -> None:
    files = set(artefacts(folder / "out"))
    ir = {f"{precision}/ssd-demo.{suffix}" for precision in ("FP32", "FP16") for suffix in ("xml", "bin")}
    others = {
        "ssd-demo.onnx",
        "report.json",
        "report.html",
        "report.md",
        "report.xml",
        "reference.png",
        "acceptance.npz",
        "detections.json",
        "manifest.json",
        "recipe.yaml",
        "provenance.intoto.json",
        "bom.cdx.json",
        "SHA256SUMS",
    }
    assert files == ir | others | {".ssdconvert/exported.onnx"}


def test_building_twice_gives_the_same_bytes(folder: Path) -> None:
    built("ssd-demo", folder, "again")
    assert artefacts(folder / "again") == artefacts(folder / "out")


def test_an_unchanged_recipe_runs_no_stage_again(copy: Path) -> None:
    before = artefacts(copy / "out")
    result = built("ssd-demo", copy)
    assert statuses(result) == dict.fromkeys(
        set(STAGES) - {"load", "quantize", "myriad", "manifest"}, "cached"
    ) | {"manifest": "done"}
    assert result.verdict == "pass"
    assert artefacts(copy / "out") == before


def test_a_changed_mean_runs_convert_and_what_follows(copy: Path, recipe: Path) -> None:
    text = recipe.read_text("utf-8")
    recipe.write_text(text.replace("mean: [123.675, 116.28, 103.53]", "mean: [120, 116.28, 103.53]"), "utf-8")
    result = built(recipe, copy)
    assert {name for name, status in statuses(result).items() if status == "cached"} == {
        "fetch",
        "export",
        "simplify",
    }
    assert (
        reason(result, "convert")
        == "input.mean changed from [123.675, 116.28, 103.53] to [120.0, 116.28, 103.53]"
    )


def test_a_changed_note_runs_nothing_but_the_manifest(copy: Path, recipe: Path) -> None:
    before = artefacts(copy / "out")
    recipe.write_text(re.sub(r"notes:\n", "notes:\n  - One more.\n", recipe.read_text("utf-8")), "utf-8")
    assert {name for name, status in statuses(built(recipe, copy)).items() if status == "done"} == {
        "manifest"
    }
    after = artefacts(copy / "out")
    assert {name for name in after if after[name] != before[name]} == {*DOCUMENTS}


def test_a_changed_threshold_runs_export(copy: Path, recipe: Path) -> None:
    recipe.write_text(recipe.read_text("utf-8").replace("iou_threshold: 0.5", "iou_threshold: 0.45"), "utf-8")
    result = built(recipe, copy, until="export")
    assert statuses(result)["export"] == "done"
    assert reason(result, "export") == "detections.iou_threshold changed from 0.5 to 0.45"


@pytest.mark.parametrize("victim", ["ssd-demo.onnx", "FP16/ssd-demo.bin", "reference.png", "report.html"])
def test_a_damaged_artefact_is_made_again(copy: Path, victim: str) -> None:
    before = artefacts(copy / "out")
    (copy / "out" / victim).write_bytes(b"damaged")
    result = built("ssd-demo", copy)
    assert any(stage.reason == f"{victim} was changed by somebody else" for stage in result.stages)
    assert artefacts(copy / "out") == before


def test_a_stage_that_fails_leaves_nothing_under_a_final_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ConversionError("no", hint="none")

    monkeypatch.setattr("ssdconvert.ir_writing.check_ir", broken)
    heard = []
    options = BuildOptions(tmp_path / "out", FetchOptions(tmp_path / "cache"))
    with pytest.raises(ConversionError):
        build(
            Catalog().find("ssd-demo"),
            options,
            on_stage=lambda stage: heard.append((stage.name, stage.status)),
        )
    assert heard[-1] == ("convert", "failed")
    assert set(artefacts(tmp_path / "out")) == {".ssdconvert/exported.onnx", "ssd-demo.onnx"}


def test_a_wrong_model_is_judged_again_next_time(
    copy: Path, monkeypatch: pytest.MonkeyPatch, of_one_precision: Path
) -> None:
    import ssdconvert.stages.convert as stage

    true_arguments, recipe = stage.conversion_arguments, of_one_precision
    recipe.write_text(recipe.read_text("utf-8").replace("mean: [123.675", "mean: [123.5"), "utf-8")
    with monkeypatch.context() as patched:
        patched.setattr(
            stage,
            "conversion_arguments",
            lambda recipe: true_arguments(recipe) | {"reverse_input_channels": False},
        )
        result = built(recipe, copy)
    assert result.verdict == "fail"
    assert '"verdict": "fail"' in (copy / "out" / "manifest.json").read_text("utf-8")
    again = built(recipe, copy)
    assert statuses(again)["verify"] == "done"
    assert again.verdict == "fail"


def test_precisions_that_cannot_be_built_are_refused(tmp_path: Path) -> None:
    options = BuildOptions(tmp_path / "out", FetchOptions(tmp_path / "cache"), ("FP32",))
    with pytest.raises(RecipeError, match="FP32 cannot be built"):
        build(Catalog().find("ssd-12-int8"), options)


def test_an_ir_that_is_not_asked_for_any_more_is_gone(copy: Path) -> None:
    options = BuildOptions(copy / "out", FetchOptions(copy / "cache"), ("FP16",))
    result = build(Catalog().find("ssd-demo"), options)
    assert result.verdict == "pass"
    assert not (copy / "out" / "FP32" / "ssd-demo.xml").exists()
    assert [entry["precision"] for entry in result.artefacts if entry["precision"]] == ["FP16", "FP16"]


def test_evidence_goes_before_what_it_stands_for(copy: Path, recipe: Path) -> None:
    recipe.write_text(recipe.read_text("utf-8").replace("mean: [123.675", "mean: [100"), "utf-8")
    assert built(recipe, copy, until="convert").verdict == "unverified"
    left = set(artefacts(copy / "out"))
    assert not left & {"report.json", "report.html", "report.md", "report.xml", *DOCUMENTS}
    assert not left & {"reference.png", "detections.json"}


def test_a_lower_precision_alone_is_backed_by_fp32(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of one grey level in the mean is within the limits of 16-bit weights, and wrong."""
    import ssdconvert.stages.convert as stage

    true_arguments = stage.conversion_arguments
    wrong = {"mean_values": {"image": [124.675, 117.28, 104.53]}}
    monkeypatch.setattr(stage, "conversion_arguments", lambda recipe: true_arguments(recipe) | wrong)
    options = BuildOptions(copy / "other", FetchOptions(copy / "cache"), ("FP16",))
    result = build(Catalog().find("ssd-demo"), options)
    assert result.verdict == "fail"
    assert result.verification is not None
    assert result.verification.reason.startswith("FP32 IR")
    assert not (copy / "other" / "FP32").exists()


def test_a_device_that_was_absent_is_asked_for_again(copy: Path) -> None:
    def on(*devices: str, required: tuple[str, ...] = ()) -> BuildResult:
        options = BuildOptions(
            copy / "out",
            FetchOptions(copy / "cache"),
            None,
            tuple(map(Machine, (*devices, *required))),
            required,
        )
        return build(Catalog().find("ssd-demo"), options)

    assert on("CPU", "MYRIAD").verdict == "pass"
    assert statuses(on("CPU", "MYRIAD"))["verify"] == "done"
    with pytest.raises(MissingDevice):
        on("CPU", "MYRIAD", required=("MYRIAD",))


def test_a_folder_of_another_recipe_is_refused(copy: Path, recipe: Path) -> None:
    other = recipe.with_name("other.yaml")
    other.write_text(recipe.read_text("utf-8").replace("name: ssd-demo\n", "name: other\n"), "utf-8")
    with pytest.raises(RecipeError, match="holds a build of ssd-demo, not of other"):
        built(other, copy)


def test_pictures_are_told_apart_by_more_than_their_names(copy: Path, of_one_precision: Path) -> None:
    recipe = of_one_precision
    for folder, source in (("a", "shapes-1.jpg"), ("b", "shapes-2.jpg")):
        (recipe.parent / folder).mkdir()
        shutil.copy(package_file(f"package:images/{source}"), recipe.parent / folder / "p.jpg")
    text = re.sub(r"pictures: .*", "pictures: [a/p.jpg, b/p.jpg]", recipe.read_text("utf-8"))
    recipe.write_text(text, "utf-8")
    assert statuses(built(recipe, copy))["verify"] == "done"
    assert statuses(built(recipe, copy))["verify"] == "cached"
    shutil.copy(package_file("package:images/shapes-3.jpg"), recipe.parent / "a" / "p.jpg")
    again = built(recipe, copy)
    assert statuses(again)["verify"] == "done"
    assert reason(again, "verify") == "the pictures changed"
    assert again.verification is not None
    assert again.verification.pictures[:2] == ("a/p.jpg", "b/p.jpg")


def test_boxes_in_pixels_are_refused(tmp_path: Path, recipe: Path) -> None:
    recipe.write_text(recipe.read_text("utf-8").replace("units: normalised", "units: pixels"), "utf-8")
    with pytest.raises(RecipeError, match="boxes in pixels"):
        built(recipe, tmp_path)


def test_no_artefact_knows_where_it_was_made(folder: Path) -> None:
    for relative in artefacts(folder / "out"):
        content = (folder / "out" / relative).read_bytes()
        for word in (str(folder), str(Path.home()), str(Path(__file__).parents[1])):
            assert word.encode() not in content, (relative, word)


def test_the_reports_need_the_result_and_the_pictures_only(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unused(*_: object) -> None:
        raise AssertionError("no model is needed")

    before = artefacts(copy / "out")
    for name in ("report.html", "report.md", "report.xml"):
        (copy / "out" / name).unlink()
    monkeypatch.setattr("ssdconvert.stages.load.load", unused)
    result = built("ssd-demo", copy)
    assert {name for name, status in statuses(result).items() if status == "done"} == {"report", "manifest"}
    assert artefacts(copy / "out") == before


def test_the_page_shows_each_picture_three_times(folder: Path) -> None:
    page = (folder / "out" / "report.html").read_text("utf-8")
    assert page.count("data:image/jpeg;base64,") == 9
    for name in ("shapes-1.jpg", "shapes-2.jpg", "shapes-3.jpg"):
        assert f'alt="{name}: difference"' in page
    assert page.count("no difference") == 3
    assert len(page) < 3_000_000
