"""What a recipe may name: families, options, sizes."""

from collections.abc import Mapping
from typing import Any

import pytest

from ssdconvert.errors import RecipeError
from ssdconvert.networks import build_network, families


def refused(family: str, height: int, width: int, options: Mapping[str, object]) -> tuple[str, str]:
    with pytest.raises(RecipeError) as caught:
        build_network(family, height, width, 2, options)
    return caught.value.message, caught.value.hint


def test_families() -> None:
    assert families() == [
        "ssd300_resnet50",
        "ssd300_vgg16",
        "ssd_resnet34",
        "ssdlite320_mobilenet_v3",
        "ultraface",
    ]


def test_building() -> None:
    network: Any = build_network("ssd_resnet34", 400, 400, 6, {"channel_multiplier": 0.125})
    assert (network.image_size, network.classes) == (400, 6)
    network = build_network("ultraface", 240, 320, 2, {"variant": "slim"})
    assert (network.image_height, network.image_width) == (240, 320)


@pytest.mark.parametrize(
    "family", ["ssd_resnet50", "", "os", "_predictions", "ssdconvert.networks.ultraface", "ssd-resnet34"]
)
def test_an_unknown_family(family: str) -> None:
    message, hint = refused(family, 400, 400, {})
    assert message == f"there is no network {family!r}"
    assert hint == f"source.network is one of {', '.join(families())}"


def test_an_unknown_option() -> None:
    message, hint = refused("ultraface", 240, 320, {"variant": "rfb", "width": 2})
    assert message == "network ultraface has no option 'width'"
    assert hint == "source.options may hold: variant"


@pytest.mark.parametrize("option", ["height", "width", "classes"])
@pytest.mark.parametrize("family", ["ssd_resnet34", "ultraface"])
def test_what_follows_from_the_recipe_is_no_option(family: str, option: str) -> None:
    message, _ = refused(family, 400, 400, {option: 400})
    assert message == f"network {family} has no option {option!r}"


@pytest.mark.parametrize(
    ("family", "height", "width", "options", "expected"),
    [
        ("ssd_resnet34", 300, 300, {}, "ssd_resnet34 needs an input of at least 385 pixels, got 300"),
        ("ssd_resnet34", 400, 640, {}, "ssd_resnet34 takes a square input, got 640x400"),
        ("ultraface", 240, 320, {"variant": "fat"}, "ultraface has the variants rfb and slim, got 'fat'"),
        ("ssd_resnet34", 400, 400, {"channel_multiplier": "wide"}, ""),
    ],
)
def test_what_a_network_refuses(
    family: str, height: int, width: int, options: Mapping[str, object], expected: str
) -> None:
    message, hint = refused(family, height, width, options)
    assert message.startswith(f"network {family}: {expected}")
    assert hint == "correct input.shape or source.options"


@pytest.mark.parametrize("multiplier", [0, -1, 1e-3])
def test_a_network_without_channels(multiplier: float) -> None:
    message, _ = refused("ssd_resnet34", 400, 400, {"channel_multiplier": multiplier})
    assert message.startswith("network ssd_resnet34: ")
