"""The architecture of MobileNet-SSD as a prototxt, to be had without its download.

From chuanqi305/MobileNet-SSD, MobileNetSSD_deploy.prototxt (commit ba00fc98), whose batch
normalisation is merged into the convolutions: the text is that file's, byte for byte.
"""

from collections.abc import Iterator

from ssdconvert.stand_in.prototxt import CHANNELS_LAST, indented, layer

CLASSES = 21  # 20 of VOC and the background
DEPTHWISE = {  # block -> (channels in, channels out, stride): 3x3 a channel, then 1x1
    1: (32, 64, 1), 2: (64, 128, 2), 3: (128, 128, 1), 4: (128, 256, 2), 5: (256, 256, 1), 6: (256, 512, 2),
    7: (512, 512, 1), 8: (512, 512, 1), 9: (512, 512, 1), 10: (512, 512, 1), 11: (512, 512, 1),
    12: (512, 1024, 2), 13: (1024, 1024, 1),
}  # fmt: skip
EXTRAS = {
    14: (256, 512),
    15: (128, 256),
    16: (128, 256),
    17: (64, 128),
}  # channels: 1x1, then 3x3 of stride 2
# source of a head -> (smallest size, largest size) of its default boxes in pixels of 300, aspect ratios
LEVELS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "conv11": ((60,), (2,)),
    "conv13": ((105, 150), (2, 3)),
    "conv14_2": ((150, 195), (2, 3)),
    "conv15_2": ((195, 240), (2, 3)),
    "conv16_2": ((240, 285), (2, 3)),
    "conv17_2": ((285, 300), (2, 3)),
}


def mobilenet_ssd_prototxt() -> str:
    """Return the text of MobileNetSSD_deploy.prototxt: input `data`, output `detection_out`."""
    network = 'name: "MobileNet-SSD" input: "data" input_shape { dim: 1 dim: 3 dim: 300 dim: 300 }'
    return indented(" ".join([network, *_backbone(), *_heads()]))


def _backbone() -> Iterator[str]:
    yield from _convolution_and_relu("conv0", "data", "num_output: 32 pad: 1 kernel_size: 3 stride: 2")
    last = "conv0"
    for block, (before, after, stride) in DEPTHWISE.items():
        strided = f"stride: {stride} " if stride > 1 else ""
        depthwise = f"num_output: {before} pad: 1 kernel_size: 3 {strided}group: {before} engine: CAFFE"
        yield from _convolution_and_relu(f"conv{block}/dw", last, depthwise)
        yield from _convolution_and_relu(
            f"conv{block}", f"conv{block}/dw", f"num_output: {after} kernel_size: 1"
        )
        last = f"conv{block}"
    for block, (between, after) in EXTRAS.items():
        first, second = f"conv{block}_1", f"conv{block}_2"
        yield from _convolution_and_relu(first, last, f"num_output: {between} kernel_size: 1")
        yield from _convolution_and_relu(
            second, first, f"num_output: {after} pad: 1 kernel_size: 3 stride: 2"
        )
        last = second


def _heads() -> Iterator[str]:
    for source, (sizes, ratios) in LEVELS.items():
        boxes = len(sizes) + 2 * len(ratios)  # a ratio stands for its inverse too
        for kind, numbers in (("loc", 4), ("conf", CLASSES)):
            head = f"{source}_mbox_{kind}"
            yield _convolution(head, source, f"num_output: {boxes * numbers} kernel_size: 1")
            yield layer(f"{head}_perm", "Permute", [head], CHANNELS_LAST)
            yield layer(f"{head}_flat", "Flatten", [f"{head}_perm"], "flatten_param { axis: 1 }")
        named = [f"{name}_size: {size}.0" for name, size in zip(("min", "max"), sizes, strict=False)]
        named += [f"aspect_ratio: {ratio}.0" for ratio in ratios]
        named += ["flip: true clip: false", *(f"variance: {v}" for v in (0.1, 0.1, 0.2, 0.2)), "offset: 0.5"]
        priors = f"prior_box_param {{ {' '.join(named)} }}"
        yield layer(f"{source}_mbox_priorbox", "PriorBox", [source, "data"], priors)
    for kind, part, axis in (("loc", "_flat", 1), ("conf", "_flat", 1), ("priorbox", "", 2)):
        parts = [f"{source}_mbox_{kind}{part}" for source in LEVELS]
        yield layer(f"mbox_{kind}", "Concat", parts, f"concat_param {{ axis: {axis} }}")
    shape = f"reshape_param {{ shape {{ dim: 0 dim: -1 dim: {CLASSES} }} }}"
    yield layer("mbox_conf_reshape", "Reshape", ["mbox_conf"], shape)
    yield layer("mbox_conf_softmax", "Softmax", ["mbox_conf_reshape"], "softmax_param { axis: 2 }")
    yield layer("mbox_conf_flatten", "Flatten", ["mbox_conf_softmax"], "flatten_param { axis: 1 }")
    yield layer(
        "detection_out",
        "DetectionOutput",
        ["mbox_loc", "mbox_conf_flatten", "mbox_priorbox"],
        f"include {{ phase: TEST }} detection_output_param {{ num_classes: {CLASSES} share_location: true "
        "background_label_id: 0 nms_param { nms_threshold: 0.45 top_k: 100 } code_type: CENTER_SIZE "
        "keep_top_k: 100 confidence_threshold: 0.25 }",
    )


def _convolution_and_relu(name: str, bottom: str, parameters: str) -> Iterator[str]:
    yield _convolution(name, bottom, parameters)
    yield layer(f"{name}/relu", "ReLU", [name], top=name)


def _convolution(name: str, bottom: str, parameters: str) -> str:
    training = "param { lr_mult: 1.0 decay_mult: 1.0 } param { lr_mult: 2.0 decay_mult: 0.0 }"
    fillers = 'weight_filler { type: "msra" } bias_filler { type: "constant" value: 0.0 }'
    parameters = f"{training} convolution_param {{ {parameters} {fillers} }}"
    return layer(name, "Convolution", [bottom], parameters)
