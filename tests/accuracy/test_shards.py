"""Shards of one evaluation become what one run makes; those that do not belong together are named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.accuracy.data_set import DataSet, read_data_set
from ssdconvert.accuracy.evaluation import Evaluation, categories_of, evaluation_of
from ssdconvert.accuracy.gate import judged
from ssdconvert.accuracy.predictions import Predictions, predictions_in
from ssdconvert.accuracy.result_files import remarks, write_results
from ssdconvert.accuracy.run import Shard, header_of, pictures_wanted, run_here, shard_of
from ssdconvert.accuracy.shards import merged
from ssdconvert.accuracy.subjects import ModelFile, Subject, Subjects
from ssdconvert.errors import RecipeError
from ssdconvert.label_files import LabelList, read_labels


@pytest.fixture
def labels(tmp_path: Path) -> LabelList:
    (tmp_path / "names.txt").write_text("cat\n")
    return read_labels(str(tmp_path / "names.txt"))


@pytest.fixture
def subjects(grey_model: Path, labels: LabelList) -> Subjects:
    files = (ModelFile.at(grey_model), ModelFile.at(grey_model.with_suffix(".bin")))
    return Subjects("grey", None, (Subject("model.xml", files, None, labels=labels),))


@pytest.fixture
def shards(subjects: Subjects, data: DataSet, tmp_path: Path) -> list[Path]:
    """The files of three shards."""
    paths = []
    for number in (1, 2, 3):
        shard = Shard(number, 3)
        paths.append(tmp_path / shard.file)
        with predictions_in(paths[-1], header_of(subjects, data, shard)) as predictions:
            run_here(subjects, shard.of(pictures_wanted(data, "count")), predictions, jobs=number)
    return paths


def concluded(predictions: Predictions, data: DataSet) -> Evaluation:
    mapped = categories_of(predictions.header, data, False)
    return evaluation_of(predictions, ["model.xml"], data, mapped, draws=20)


def written(predictions: Predictions, data: DataSet, folder: Path) -> dict[str, bytes]:
    evaluation = concluded(predictions, data)
    return {path.name: path.read_bytes() for path in write_results(evaluation, judged(evaluation), folder)}


def test_shards_together_are_one_run(
    shards: list[Path], subjects: Subjects, data: DataSet, tmp_path: Path
) -> None:
    with predictions_in(tmp_path / "whole.jsonl", header_of(subjects, data)) as predictions:
        run_here(subjects, data.pictures, predictions)
    together = written(merged([shards[2], shards[0], shards[1]], data), data, tmp_path / "merged")
    assert together == written(predictions, data, tmp_path / "whole")
    assert set(together) == {"evaluation.json", "evaluation.md", "detections-model.xml.json"}
    document = json.loads(together["evaluation.json"])
    assert document["pictures"]["evaluated"] == 9
    assert 0 < document["models"][0]["accuracy"]["ap"] < 1
    rows = json.loads(together["detections-model.xml.json"])
    assert [row["image_id"] for row in rows] == sorted(row["image_id"] for row in rows)
    assert {row["category_id"] for row in rows} == {7}


def test_which_pictures_are_a_shards(data: DataSet) -> None:
    parts = [Shard(number, 4).of(data.pictures) for number in range(1, 5)]
    assert [len(part) for part in parts] == [3, 2, 2, 2]
    assert sorted(picture.id for part in parts for picture in part) == list(range(1, 10))
    assert [picture.id for picture in pictures_wanted(data, "skip")] == [1, 2, 4, 5, 7, 8]


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3", "1/3/5"])
def test_what_is_no_shard(text: str) -> None:
    assert shard_of("3/16").file == "shard-03-of-16.jsonl"
    with pytest.raises(RecipeError, match="is no shard"):
        shard_of(text)


def test_shards_that_are_missing_or_there_twice(shards: list[Path], data: DataSet, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="2 of 3 shards are not given: 1, 3"):
        merged([shards[1]], data)
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(shards[1].read_bytes())
    with pytest.raises(RecipeError, match=r"shard 2 of 3 is there twice: .*copy\.jsonl"):
        merged([*shards, copy], data)


def test_a_shard_that_was_killed(shards: list[Path], data: DataSet) -> None:
    lines = shards[0].read_bytes().splitlines(keepends=True)
    shards[0].write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    with pytest.raises(
        RecipeError, match=r"1 shards are not whole: .*shard-01-of-03\.jsonl \(1 of 3 are missing\)"
    ):
        merged(shards, data)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("code", "other", "ssdconvert itself differ"),
        ("models", {}, "the models differ"),
        ("shard", [3, 4], "one of 4 shards"),
        ("shard", None, "is no shard"),
    ],
)
def test_a_shard_of_another_evaluation(
    shards: list[Path], data: DataSet, key: str, value: Any, told: str
) -> None:
    first, *lines = shards[2].read_text().split("\n")
    shards[2].write_text("\n".join([json.dumps({**json.loads(first), key: value}), *lines]))
    with pytest.raises(RecipeError, match=told):
        merged(shards, data)


def test_other_pictures_than_the_shards_saw(shards: list[Path], pictures: Callable[..., Path]) -> None:
    with pytest.raises(RecipeError, match="other annotations or pictures"):
        merged(shards, read_data_set(pictures(8, "other")))


def test_broken_and_resized_pictures_are_told(subjects: Subjects, pictures: Any, tmp_path: Path) -> None:
    path = pictures(6, "worse")
    document = json.loads(path.read_text())
    document["images"][3]["width"] = 60
    path.write_text(json.dumps(document))
    (path.parent / "images" / "2.png").write_bytes(b"no picture")
    data = read_data_set(path)
    with predictions_in(tmp_path / "worse.jsonl", header_of(subjects, data)) as predictions:
        run_here(subjects, data.pictures, predictions)
    evaluation = concluded(predictions, data)
    assert [picture.id for picture in evaluation.pictures] == [1, 3, 4, 5, 6]
    assert evaluation.resized == (("4.png", (60, 20), (30, 20)),)
    (broken,) = evaluation.broken
    assert broken[0] == "2.png"
    page = write_results(evaluation, judged(evaluation, strict=True), tmp_path / "out")[1].read_text()
    assert "1 pictures broken, left out of the mean: 2.png (2.png cannot be read as a picture" in page
    assert "4.png 60x20, here 30x20" in page
    assert "2 pictures without annotations: what is found there is wrong" in page
    assert "fail: pictures: 1 missing or broken" in page


def test_a_stand_in_says_so(shards: list[Path], data: DataSet) -> None:
    predictions = merged(shards, data)
    assert not any("STAND-IN" in told for told in remarks(concluded(predictions, data)))
    predictions.header = {**predictions.header, "recipe": {"name": "ssd-demo-stand-in", "sha256": "0"}}
    assert any("STAND-IN" in told for told in remarks(concluded(predictions, data)))


def test_nothing_that_can_be_read(subjects: Subjects, data: DataSet, tmp_path: Path) -> None:
    for picture in data.pictures:
        picture.path.write_bytes(b"")
    with predictions_in(tmp_path / "none.jsonl", header_of(subjects, data)) as predictions:
        run_here(subjects, data.pictures, predictions)
    with pytest.raises(RecipeError, match="none of 9 pictures can be read"):
        concluded(predictions, data)
