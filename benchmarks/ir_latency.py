"""How soon an IR answers: with its tail inside against its heads alone, and beside ONNX Runtime on the ONNX graph.

    python benchmarks/ir_latency.py ultraface-rfb-320 [--stand-in] [--threads 1] [--rounds 20] [--runs 10]
    python benchmarks/ir_latency.py ultraface-rfb-320 --settings
    python benchmarks/ir_latency.py ultraface-rfb-320 --layers

Converts the recipe with --tail nms and --tail heads, FP32, and feeds one picture of the package over and over, one
inference at a time. The sides take turns in blocks of --runs, as often as --rounds. Prints medians of wall and CPU
time, and ratios of each to the heads alone in OpenVINO: medians over the rounds, and of the least. On a machine that
others use too, trust the CPU time with one thread. ONNX Runtime gets what the graph wants, a picture whose colours,
mean and scale are done; `prepared` has these inside, as the IR has. --openvino leaves it out. --settings compares
settings of OpenVINO on the heads, --layers prints the least time of each kind of layer, in both engines.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ssdconvert.build_result import BuildOptions
from ssdconvert.catalog import Catalog
from ssdconvert.fetching.options import FetchOptions, default_cache
from ssdconvert.ir_description import RUN_CONFIGURATION
from ssdconvert.pictures import read_picture
from ssdconvert.pipeline import build
from ssdconvert.recipe import Recipe
from ssdconvert.resources import package_file
from ssdconvert.ssd.preprocess import converted_input, original_input

Run = Callable[[], Any]
PICTURE = package_file("package:images/portrait.jpg")
SETTINGS: dict[str, dict[str, Any]] = {
    "as recommended": {},
    "no hint": {"PERFORMANCE_HINT": None},
    "THROUGHPUT": {"PERFORMANCE_HINT": "THROUGHPUT"},
    "NUM_STREAMS 1": {"PERFORMANCE_HINT": None, "NUM_STREAMS": 1},
    "no pinning": {"ENABLE_CPU_PINNING": False},
    "pinning": {"ENABLE_CPU_PINNING": True},
    "no hyper-threading": {"ENABLE_HYPER_THREADING": False},
    "physical cores": {"SCHEDULING_CORE_TYPE": "PCORE_ONLY"},
    "denormals are 0": {"CPU_DENORMALS_OPTIMIZATION": True},
    "ACCURACY": {"EXECUTION_MODE_HINT": "ACCURACY"},
}


def built(name: str, stand_in: bool, tail: str, folder: Path) -> tuple[Recipe, Path, Path]:
    """Return the recipe, the IR and the ONNX graph of a conversion with a tail."""
    entry = Catalog(()).find(name)
    entry = entry.stand_in() if stand_in else entry
    fetching = FetchOptions(default_cache(), os.environ.get("SSDCONVERT_MIRROR"))
    build(entry, BuildOptions(folder / tail, fetching, ("FP32",), tail=tail), "convert")
    files = folder / tail / "FP32" / f"{entry.recipe.name}.xml", folder / tail / f"{entry.recipe.name}.onnx"
    return entry.recipe, *files


def in_openvino(
    xml: Path,
    picture: Any,
    threads: int,
    settings: dict[str, Any],
    how: str = "request",
    form: str = "f32 NCHW",
) -> Run:
    """Return an inference of a model; `how` it is asked and the `form` of pictures that it is given."""
    import openvino
    from openvino.preprocess import PrePostProcessor

    core = openvino.Core()
    model = core.read_model(xml)
    steps = PrePostProcessor(model)
    if "u8" in form:
        steps.input().tensor().set_element_type(openvino.Type.u8)
        picture = np.round(picture).astype(np.uint8)
    if "NHWC" in form:
        steps.input().tensor().set_layout(openvino.Layout("NHWC"))
        steps.input().model().set_layout(openvino.Layout("NCHW"))
        picture = np.ascontiguousarray(picture.transpose(0, 2, 3, 1))
    told = {**RUN_CONFIGURATION, "INFERENCE_NUM_THREADS": threads, **settings}
    compiled = core.compile_model(
        steps.build(), "CPU", {key: value for key, value in told.items() if value is not None}
    )
    if how == "call":
        return lambda: compiled(picture)
    if how == "call, shared":
        return lambda: compiled(picture, share_inputs=True, share_outputs=True)
    request, tensor = compiled.create_infer_request(), openvino.Tensor(picture, shared_memory=True)
    request.set_input_tensor(tensor)

    def run() -> None:
        request.start_async()
        request.wait()

    return run


def in_onnx_runtime(path: Path, name: str, picture: Any, threads: int, spinning: bool = True) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), _options(threads, spinning), ["CPUExecutionProvider"])
    return lambda: session.run(None, {name: picture})


def _options(threads: int, spinning: bool = True) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    return options


def with_preparation(path: Path, recipe: Recipe) -> Path:
    """Write an ONNX graph that takes what the IR takes: order of channels, mean and scale are its first nodes."""
    import onnx

    model, spec = onnx.load(path), recipe.input
    reverse = spec.color.model != spec.color.converted
    order = np.array([2, 1, 0] if reverse else [0, 1, 2])
    constants = {
        "prepare/order": order,
        "prepare/mean": np.array(spec.mean, np.float32).reshape(1, 3, 1, 1),
        "prepare/factor": (1 / np.array(spec.scale, np.float32)).reshape(1, 3, 1, 1).astype(np.float32),
    }
    for name, array in constants.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    for node in model.graph.node:
        node.input[:] = ["prepare/done" if one == spec.name else one for one in node.input]
    node = onnx.helper.make_node
    for index, added in enumerate(
        (
            node("Gather", [spec.name, "prepare/order"], ["prepare/rgb"], axis=1),
            node("Sub", ["prepare/rgb", "prepare/mean"], ["prepare/centred"]),
            node("Mul", ["prepare/centred", "prepare/factor"], ["prepare/done"]),
        )
    ):
        model.graph.node.insert(index, added)
    target = path.with_suffix(".prepared.onnx")
    onnx.save(model, target)
    return target


def compare(sides: dict[str, Run], rounds: int, runs: int) -> None:
    """Run the sides in turn, and print a table; the first is what ratios are to."""
    wall: dict[str, list[float]] = {side: [] for side in sides}
    cpu: dict[str, list[float]] = {side: [] for side in sides}
    for run in sides.values():
        run()
    for _ in range(rounds):
        for side, run in sides.items():
            if runs > 1:
                run()  # after another engine
            started, used = time.perf_counter(), time.process_time()
            for _ in range(runs):
                run()
            wall[side].append((time.perf_counter() - started) / runs * 1e3)
            cpu[side].append((time.process_time() - used) / runs * 1e3)
    print("| | wall | ratio | of the least | CPU | ratio | of the least |\n|---|---|---|---|---|---|---|")
    for side in sides:
        cells = [side]
        for taken in (wall, cpu):
            own, base = taken[side], next(iter(taken.values()))
            ratio = statistics.median(mine / other for mine, other in zip(own, base, strict=True))
            cells += [f"{statistics.median(own):.2f} ms", f"{ratio:.3f}", f"{min(own) / min(base):.3f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


def print_layers(xml: Path, onnx_path: Path, recipe: Recipe, pictures: tuple[Any, Any], runs: int) -> None:
    """Print the least time of each kind of layer, summed, on one thread."""
    import onnxruntime
    import openvino

    settings = {**RUN_CONFIGURATION, "INFERENCE_NUM_THREADS": 1, "PERF_COUNT": True}
    request = openvino.Core().compile_model(xml, "CPU", settings).create_infer_request()
    least: dict[tuple[str, str], float] = {}
    for _ in range(runs):
        request.infer({0: pictures[0]})
        for layer in request.profiling_info:
            key = layer.node_name, f"{layer.node_type} {layer.exec_type}"
            least[key] = min(least.get(key, 1e9), layer.real_time.total_seconds() * 1e3)
    _print_kinds("OpenVINO", least)
    options = _options(1)
    options.enable_profiling, options.profile_file_prefix = True, str(xml.parent / "profile")
    session = onnxruntime.InferenceSession(str(onnx_path), options, ["CPUExecutionProvider"])
    for _ in range(runs):
        session.run(None, {recipe.input.name: pictures[1]})
    least = {}
    for event in json.loads(Path(session.end_profiling()).read_text("utf-8")):
        if event.get("cat") == "Node" and event["name"].endswith("kernel_time"):
            key = event["name"], event["args"]["op_name"]
            least[key] = min(least.get(key, 1e9), event["dur"] / 1e3)
    _print_kinds("ONNX Runtime", least)


def _print_kinds(engine: str, least: dict[tuple[str, str], float]) -> None:
    kinds, counts = Counter[str](), Counter(kind for _, kind in least)
    for (_, kind), milliseconds in least.items():
        kinds[kind] += milliseconds
    print(f"{engine}: {sum(kinds.values()):.3f} ms in layers")
    for kind, milliseconds in kinds.most_common(12):
        print(f"  {milliseconds:9.3f} ms  {counts[kind]:3} x {kind}")


def main() -> None:
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("name")
    parser.add_argument("--stand-in", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--openvino", action="store_true")
    parser.add_argument("--settings", action="store_true")
    parser.add_argument("--layers", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        recipe, heads, heads_graph = built(given.name, given.stand_in, "heads", Path(folder))
        _, whole, whole_graph = built(given.name, given.stand_in, "nms", Path(folder))
        pixels, threads = read_picture(PICTURE), given.threads
        fed = np.ascontiguousarray(converted_input(pixels, recipe.input), np.float32)
        prepared = np.ascontiguousarray(original_input(pixels, recipe.input), np.float32)
        if given.layers:
            for xml, graph in ((heads, heads_graph), (whole, whole_graph)):
                print_layers(xml, graph, recipe, (fed, prepared), given.runs)
            return
        sides = {"heads in OpenVINO": in_openvino(heads, fed, threads, {})}
        if given.settings:
            sides |= {told: in_openvino(heads, fed, threads, more) for told, more in SETTINGS.items()}
            sides |= {how: in_openvino(heads, fed, threads, {}, how) for how in ("call", "call, shared")}
            forms = "f32 NHWC", "u8 NCHW", "u8 NHWC"
            sides |= {form: in_openvino(heads, fed, threads, {}, form=form) for form in forms}
        else:
            sides["with the tail in OpenVINO"] = in_openvino(whole, fed, threads, {})
        graphs = {"heads": heads_graph} | ({} if given.settings else {"with the tail": whole_graph})
        for told, graph in () if given.openvino else graphs.items():
            ready, name = with_preparation(graph, recipe), recipe.input.name
            sides[f"{told} in ONNX Runtime"] = in_onnx_runtime(graph, name, prepared, threads)
            sides[f"{told} in ONNX Runtime, prepared"] = in_onnx_runtime(ready, name, fed, threads)
        print(f"{recipe.name}, {threads} threads, load {os.getloadavg()[0]:.1f}")
        compare(sides, given.rounds, given.runs)


if __name__ == "__main__":
    main()
