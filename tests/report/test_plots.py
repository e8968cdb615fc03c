from xml.etree import ElementTree

import pytest

from ssdconvert.report.plots import depth_curve, histogram, power_of_ten

COUNTS = (5, 0, 0, 0, 0, 10, 100, 1000, 30, 2, 1, *[0] * 9)


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def of_class(root: ElementTree.Element, tag: str, kind: str) -> list[ElementTree.Element]:
    return [element for element in root.iter(tag) if kind in element.get("class", "").split()]


def test_a_bar_for_each_bin_that_has_something() -> None:
    bars = of_class(parsed(histogram(COUNTS, None, "t")), "rect", "count")
    heights = [float(bar.get("height", "")) for bar in bars]
    assert len(bars) == 7
    assert max(heights) == heights[3]
    assert min(heights) == heights[6] > 0  # a count of 1 is seen
    places = [float(bar.get("x", "")) for bar in bars]
    assert places == sorted(places)


def test_bars_beyond_the_limit_have_another_class() -> None:
    root = parsed(histogram(COUNTS, 1e-6, "t"))
    assert len(of_class(root, "rect", "count")) == 4
    assert len(of_class(root, "rect", "beyond")) == 3
    (line,) = of_class(root, "line", "limit")
    first = of_class(root, "rect", "beyond")[0]
    assert float(line.get("x1", "")) == pytest.approx(float(first.get("x", "")), abs=1.0)
    assert "limit 1e-06" in "".join(root.itertext())


@pytest.mark.parametrize("counts", [(0,) * 20, (1,) * 20, (10**9,) * 20, ()])
def test_nothing_leaves_the_drawing(counts: tuple[int, ...]) -> None:
    root = parsed(histogram(counts, 5.0, "t"))
    for rect in root.iter("rect"):
        assert float(rect.get("y", "")) >= 0
        assert 0 <= float(rect.get("x", "")) + float(rect.get("width", "")) <= 300


def test_axes_are_named_with_their_units() -> None:
    told = "".join(parsed(histogram(COUNTS, None, "t")).itertext())
    assert "error / largest value of the head" in told
    assert "count" in told
    assert "10⁻⁸" in told


def test_a_depth_curve_has_a_line_a_candidate_and_a_point_a_tensor() -> None:
    series = {"FP32 <IR>": [("a&b", 1e-7), ("c", 0.0), ("d", float("nan"))], "FP16 IR": [("a&b", 1e-3)] * 40}
    root = parsed(depth_curve(series, 1e-2, "t"))
    assert len(list(root.iter("polyline"))) == 2
    assert len(list(root.iter("circle"))) == 43
    titles = [title.text for title in root.iter("title")]
    assert "● FP16 IR" in "".join(root.itertext())
    assert titles[0] == "FP32 <IR>: a&b: 1e-07"
    for circle in root.iter("circle"):
        assert 0 <= float(circle.get("cy", "")) <= 260
    assert len(of_class(root, "line", "limit")) == 1


@pytest.mark.parametrize("series", [{}, {"a": []}, {"a": [("x", 0.0)]}])
def test_a_depth_curve_of_nothing_is_empty(series: dict[str, list[tuple[str, float]]]) -> None:
    parsed(depth_curve(series, None, "t"))


def test_powers_of_ten() -> None:
    assert [power_of_ten(n) for n in (-10, 0, 1, 4)] == ["10⁻¹⁰", "1", "10", "10⁴"]
