import json
from dataclasses import replace
from typing import Any

import pytest

from ssdconvert.report.markdown import to_markdown
from ssdconvert.report.result import Box, Check, Shown, Verification, judged, verification_from_json
from ssdconvert.report.words import worst_checks


def check(number: float, limit: float = 1.0, **changes: Any) -> Check:
    fields: dict[str, Any] = {
        "hop": "ir",
        "level": "heads",
        "device": "CPU",
        "runtime": "openvino 1",
        "precision": "FP32",
        "input": "a.jpg",
        "output": "class_logits",
        "metric": "max error / scale",
        **judged(number, limit),
    }
    return Check(**(fields | changes))


def verification(*checks: Check, detections: int = 3) -> Verification:
    return Verification("m", checks, "torch 2", ("a.jpg",), detections)


@pytest.mark.parametrize(
    ("value", "limit", "at_least", "status"),
    [
        (1.0, 1.0, False, "pass"),
        (1.1, 1.0, False, "fail"),
        (1.0, 1.0, True, "pass"),
        (0.9, 1.0, True, "fail"),
    ],
)
def test_a_value_is_judged_by_its_limit(value: float, limit: float, at_least: bool, status: str) -> None:
    outcome = judged(value, limit, at_least)
    assert (outcome["status"], outcome["required"]) == (status, value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("at_least", [False, True])
def test_what_is_no_number_is_never_written_and_nan_never_passes(value: float, at_least: bool) -> None:
    outcome = judged(value, 1.0, at_least)
    json.dumps(outcome, allow_nan=False)
    assert outcome["value"] is None
    assert outcome["status"] == "fail"


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        (verification(check(0.1)), "pass"),
        (verification(check(0.1), check(2.0)), "fail"),
        (verification(check(0.1), detections=0), "inconclusive"),
        (verification(check(0.1, hop="onnx")), "inconclusive"),
        (verification(check(0.1), check(0, status="skipped")), "pass"),
        (verification(check(0.1), check(0, status="inconclusive")), "inconclusive"),
        (verification(), "inconclusive"),
        (verification(check(2.0), detections=0), "fail"),
    ],
)
def test_the_verdict(result: Verification, verdict: str) -> None:
    assert result.verdict == verdict
    assert bool(result.reason) == (verdict != "pass")


def test_json_holds_everything() -> None:
    result = replace(
        verification(check(0.1), check(2.0, input="b.jpg", statistics={"mean": 0.5}, histogram=(0, 3))),
        shown=(
            Shown("a.jpg", "FP32 IR", (Box(1, 0.5, (0.0, 0.1, 0.2, 0.3)),), ()),
            Shown("b.jpg", "FP32 IR", (), None),
        ),
    )
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert verification_from_json(document) == result
    promised = {
        "hop", "level", "device", "runtime", "precision", "input", "output", "metric", "value", "limit",
        "required", "status", "reason",
    }  # fmt: skip
    assert promised <= set(document["checks"][0])


def test_a_failure_names_the_first_bad_hop_and_the_good_ones() -> None:
    result = verification(
        check(0.1, hop="onnx"),
        check(0.1, hop="simplified"),
        check(2.0, input="b.jpg"),
        check(3.0, precision="FP16"),
    )
    assert result.reason == (
        "FP32 IR on CPU (openvino 1): class_logits on b.jpg: max error / scale is 2, limit 1; "
        "good before it: exported ONNX, simplified ONNX"
    )


def test_the_worst_picture_stands_for_a_measurement() -> None:
    checks = [check(0.1), check(0.7, input="b.jpg"), check(0.3, input="c.jpg")]
    overlaps = [
        check(0, metric="min IoU", output="bboxes", **judged(value, 0.5, at_least=True))
        for value in (0.9, 0.6, 0.8)
    ]
    assert [(c.metric, c.value) for c in worst_checks(checks + overlaps)] == [
        ("max error / scale", 0.7),
        ("min IoU", 0.6),
    ]


def test_markdown_has_the_verdict_first_and_a_row_for_each_measurement() -> None:
    text = to_markdown(verification(check(0.1), check(2.0, hop="onnx")))
    assert text.splitlines()[0] == "# m: fail"
    assert text.count("| heads |") == 2
    assert "| 0.1 | 1 | 0.1 | a.jpg | pass |" in text
