"""Reading prototxt and caffemodel files, and refusing those that are none or do not fit."""

from pathlib import Path

import numpy as np
import pytest

from ssdconvert.caffe import Array, Network, read_network, read_weights, refuse_misfit, write_caffemodel
from ssdconvert.caffe_message import new_network
from ssdconvert.errors import ConversionError


def seeded(network: Network) -> dict[str, list[Array]]:
    random = np.random.default_rng(1)
    return {
        layer.name: [random.standard_normal([s or 0 for s in shape], np.float32) for shape in layer.weights]
        for layer in network.layers
        if layer.weights
    }


@pytest.fixture
def caffemodel(tiny_prototxt: Path) -> Path:
    network = read_network(tiny_prototxt)
    path = tiny_prototxt.with_suffix(".caffemodel")
    write_caffemodel(path, network, seeded(network))
    return path


def test_network(tiny_prototxt: Path) -> None:
    network = read_network(tiny_prototxt)
    assert network.inputs == {"data": (1, 3, 64, 96)}
    layers = {layer.name: layer for layer in network.layers}
    assert list(layers)[:3] == ["conv1", "conv1/relu", "conv2/dw"]
    assert layers["conv1"].weights == ((8, 3, 3, 3), (8,))
    assert layers["conv2/dw"].weights == ((8, 1, 3, 3), (8,))
    assert layers["conf"].weights == ((12, 8, 3, 3), (12,))
    assert layers["detection_out"].bottoms == ("mbox_loc", "mbox_conf_flatten", "mbox_priorbox")
    assert layers["detection_out"].weights == ()


def test_weights_come_back(tiny_prototxt: Path, caffemodel: Path) -> None:
    expected, actual = seeded(read_network(tiny_prototxt)), read_weights(caffemodel)
    assert actual.keys() == expected.keys()
    for name, blobs in expected.items():
        for one, other in zip(blobs, actual[name], strict=True):
            assert np.array_equal(one, other)
    refuse_misfit(tiny_prototxt, caffemodel)


def test_the_same_bytes_every_time(tiny_prototxt: Path, caffemodel: Path, tmp_path: Path) -> None:
    network = read_network(tiny_prototxt)
    write_caffemodel(tmp_path / "again", network, seeded(network))
    assert (tmp_path / "again").read_bytes() == caffemodel.read_bytes()


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ('type: "Convolution" convolution_param { num_output: 6 kernel_h: 1 kernel_w: 5 bias_term: false }',
         ((6, 4, 1, 5),)),
        ('type: "Convolution" convolution_param { num_output: 6 kernel_size: 3 kernel_size: 5 group: 2 }',
         ((6, 2, 3, 5), (6,))),
        ('type: "Deconvolution" convolution_param { num_output: 6 kernel_size: 2 group: 2 }',
         ((4, 3, 2, 2), (6,))),
        ('type: "InnerProduct" inner_product_param { num_output: 7 }', ((7, None), (7,))),
        ('type: "BatchNorm"', ((4,), (4,), (1,))),
        ('type: "Scale" scale_param { bias_term: true }', ((4,), (4,))),
        ('type: "PReLU"', ((4,),)),
        ('type: "Normalize" norm_param { across_spatial: false channel_shared: false }', ((4,),)),
        ('type: "SomethingNew" something_param { kernel: 3 }', ()),
    ],
)  # fmt: skip
def test_weights_that_a_layer_wants(tmp_path: Path, text: str, shapes: tuple[object, ...]) -> None:
    path = tmp_path / "one.prototxt"
    inputs = (
        'layer { name: "in" type: "Input" top: "in" input_param { shape { dim: 1 dim: 4 dim: 8 dim: 8 } } }'
    )
    path.write_text(f'{inputs}\nlayer {{ name: "x" bottom: "in" top: "x" {text} }}')
    network = read_network(path)
    assert network.inputs == {"in": (1, 4, 8, 8)}
    assert network.layers[1].weights == shapes


def test_channels_are_followed_through_joins(tmp_path: Path) -> None:
    path = tmp_path / "joined.prototxt"
    path.write_text(
        'input: "in" input_dim: 1 input_dim: 4 input_dim: 8 input_dim: 8\n'
        'layer { name: "relu" type: "ReLU" bottom: "in" top: "relu" }\n'
        'layer { name: "cat" type: "Concat" bottom: "in" bottom: "relu" top: "cat" }\n'
        'layer { name: "x" type: "Convolution" bottom: "cat" top: "x" '
        "convolution_param { num_output: 2 kernel_size: 1 } }\n"
        'layer { name: "turned" type: "Permute" bottom: "x" top: "turned" }\n'
        'layer { name: "y" type: "Convolution" bottom: "turned" top: "y" '
        "convolution_param { num_output: 2 kernel_size: 1 } }\n"
    )
    network = read_network(path)
    assert network.inputs == {"in": (1, 4, 8, 8)}
    assert network.layers[2].weights[0] == (2, 8, 1, 1)
    assert network.layers[4].weights[0] == (2, None, 1, 1)  # not known, hence not judged


def failure(prototxt: Path, caffemodel: Path) -> ConversionError:
    with pytest.raises(ConversionError) as raised:
        refuse_misfit(prototxt, caffemodel)
    assert raised.value.stage == "load"
    assert raised.value.hint
    return raised.value


def test_weights_of_another_shape(tiny_prototxt: Path, caffemodel: Path) -> None:
    network = read_network(tiny_prototxt)
    weights = seeded(network)
    weights["conv1"][0] = weights["conv1"][0][:, :, :2]
    del weights["loc"]
    weights["conf"].pop()
    write_caffemodel(caffemodel, network, weights)
    message = failure(tiny_prototxt, caffemodel).message
    assert message.startswith("tiny.caffemodel does not fit tiny.prototxt: ")
    assert "conv1 expects [8, 3, 3, 3], found [8, 3, 2, 3]" in message
    assert "loc expects the blobs [16, 8, 3, 3], [16], found none" in message
    assert "conf expects the blobs [12, 8, 3, 3], [12], found [12, 8, 3, 3]" in message


def test_a_long_list_of_misfits_is_cut(tiny_prototxt: Path, caffemodel: Path) -> None:
    write_caffemodel(caffemodel, read_network(tiny_prototxt), {})
    assert failure(tiny_prototxt, caffemodel).message.endswith("found none, and 1 more")


def test_numbers_that_are_none(tiny_prototxt: Path, caffemodel: Path) -> None:
    network = read_network(tiny_prototxt)
    weights = seeded(network)
    weights["loc"][1][3] = np.nan
    write_caffemodel(caffemodel, network, weights)
    assert "loc holds NaN or infinity" in failure(tiny_prototxt, caffemodel).message


def test_shapes_of_four_sides_as_before_2014(tiny_prototxt: Path, caffemodel: Path) -> None:
    message = new_network()
    message.ParseFromString(caffemodel.read_bytes())
    for layer in message.layer:
        for blob in layer.blobs:
            sides = [1] * (4 - len(blob.shape.dim)) + list(blob.shape.dim)
            blob.num, blob.channels, blob.height, blob.width = sides
            blob.ClearField("shape")
    caffemodel.write_bytes(message.SerializeToString())
    refuse_misfit(tiny_prototxt, caffemodel)


def test_fewer_numbers_than_the_shape_says(tiny_prototxt: Path, caffemodel: Path) -> None:
    message = new_network()
    message.ParseFromString(caffemodel.read_bytes())
    del message.layer[0].blobs[0].data[5:]
    caffemodel.write_bytes(message.SerializeToString())
    told = failure(tiny_prototxt, caffemodel).message
    assert told == "tiny.caffemodel is damaged: conv1 has 5 numbers for [8, 3, 3, 3]"


@pytest.mark.parametrize(
    "content", [b"hello world", b"<!DOCTYPE html><html></html>", b"\xff\xfe\x00", b"layer {", b"a: 1", b"",
                b"a { " * 5000],
)  # fmt: skip
def test_no_prototxt(tmp_path: Path, caffemodel: Path, content: bytes) -> None:
    path = tmp_path / "bad.prototxt"
    path.write_bytes(content)
    assert failure(path, caffemodel).message.startswith("bad.prototxt ")


@pytest.mark.parametrize(
    "content", [b"hello world", b"<!DOCTYPE html><html></html>", b"", bytes(range(256)) * 9]
)
def test_no_caffemodel(tmp_path: Path, tiny_prototxt: Path, content: bytes) -> None:
    path = tmp_path / "bad.caffemodel"
    path.write_bytes(content)
    assert failure(tiny_prototxt, path).message.startswith("bad.caffemodel ")


def test_every_cut_of_a_caffemodel_is_noticed(tiny_prototxt: Path, caffemodel: Path) -> None:
    whole = caffemodel.read_bytes()
    for length in range(0, len(whole) - 400, len(whole) // 25):
        caffemodel.write_bytes(whole[:length])
        failure(tiny_prototxt, caffemodel)


def test_the_form_before_2014(tmp_path: Path, caffemodel: Path) -> None:
    path = tmp_path / "old.prototxt"
    path.write_text('layers { name: "conv1" type: CONVOLUTION bottom: "data" top: "conv1" }')
    raised = failure(path, caffemodel)
    assert "`layers` of Caffe before 2014" in raised.message
    assert "upgrade_net_proto_text" in raised.hint


def test_the_real_files_fit(mirror: Path) -> None:
    folder = mirror / "ultraface-rfb-320-caffe"
    refuse_misfit(folder / "RFB-320.prototxt", folder / "RFB-320.caffemodel")
    weights = read_weights(folder / "RFB-320.caffemodel")
    assert sum(blob.size for blobs in weights.values() for blob in blobs) == 273_888
    other = mirror / "mobilenet-ssd" / "mobilenet-ssd.prototxt"
    assert "conv0 expects the blobs" in failure(other, folder / "RFB-320.caffemodel").message
