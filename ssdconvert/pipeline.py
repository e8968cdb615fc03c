"""The order of the stages, and what each depends on."""

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import Any

from ssdconvert.build_plan import PRECISIONS, not_for_myriad, plan
from ssdconvert.build_result import BuildOptions, BuildResult, StageResult
from ssdconvert.build_run import BuildRun, inputs_of
from ssdconvert.catalog import CatalogEntry
from ssdconvert.device_config import told_of
from ssdconvert.myriad import (
    FACTS,
    TOOLCHAIN,
    delete_for_myriad,
    files_for_myriad,
    is_myriad,
    open_without_a_stick,
)
from ssdconvert.openvino_converter import TOOLCHAIN as CONVERTING
from ssdconvert.pictures import read_picture
from ssdconvert.quantisation.cost import COST, read_cost
from ssdconvert.release.names import ACCEPTANCE
from ssdconvert.report.result import verification_from_json
from ssdconvert.runners.openvino_core import extensions_in_use
from ssdconvert.source_files import fetched_files, stand_in_files
from ssdconvert.stage_runner import REPORTS
from ssdconvert.toolchains import kind_of
from ssdconvert.toolchains.environment import find, locate, running
from ssdconvert.versions import TOOLS, tool_versions
from ssdconvert.workspace import (
    EXPORTED,
    Workspace,
    digest_of,
    ir_files,
    write_json,
)

STAGES = (
    "fetch", "load", "export", "simplify", "convert", "quantize", "myriad", "verify", "detect", "report", "manifest",
)  # fmt: skip
LAST_UNGATED = "myriad"
GATED = STAGES[STAGES.index(LAST_UNGATED) + 1 :]  # what a build without verification leaves out


def build(
    entry: CatalogEntry,
    options: BuildOptions,
    until: str = "manifest",
    on_stage: Callable[[StageResult], None] = lambda result: None,
    on_wait: Callable[[], None] = lambda: None,
) -> BuildResult:
    """Run the stages of a recipe up to `until`, those that are not up to date; up to the IR without verification.

    `on_stage` hears of each stage as it ends, `on_wait` when another process holds the build folder.
    The result's verdict tells whether the model is right; only expected failures raise.
    """
    profile = None
    if options.profile:
        from ssdconvert.build_profile import BuildProfile

        profile = BuildProfile()
        profile.mark("start")
    planned = plan(entry.recipe, options.precisions, options.tail, options.converter, options.bake)

    def tell(stage: StageResult) -> None:
        if profile:
            profile.mark(stage.name)
        on_stage(stage)

    running(options.toolchains)  # one that is missing is told before anything is built
    if planned.converter == "openvino":
        find(CONVERTING)
    workspace = Workspace(options.output)
    with workspace.locked(on_wait):
        workspace.claim(entry.recipe.name)
        extensions = {path for machine in options.machines for path in machine.extensions}
        with extensions_in_use(sorted(extensions)):
            last = until if options.verify or until not in GATED else LAST_UNGATED
            result = _Build(entry, planned, options, workspace, tell).run(last)
    if profile:
        profile.mark("end")
        result.profile = profile.rows()
    return result


class _Build(BuildRun):
    """One run of the pipeline."""

    def run(self, until: str) -> BuildResult:
        from ssdconvert.stages.manifest import artefact_entries

        self.refuse_uncalibrated()
        last = STAGES.index(until)
        quantises = self.plan.quantises and STAGES.index("quantize") <= last
        with self.calibration_set() if quantises else nullcontext() as self.calibration:
            for name in STAGES[: last + 1]:
                if name != "load":  # loaded by the first stage that needs it
                    getattr(self, f"_{name}")()
        if not self.result.artefacts:  # it ended before the manifest, which lists them
            self.result.artefacts = artefact_entries(self.workspace, self.artefacts())
        return self.result

    def _fetch(self) -> None:
        if self.recipe.is_stand_in:
            self.source = stand_in_files(self.plan, self.workspace, self.stages)
        else:
            self.source = fetched_files(self.plan, self.options.fetch, self.stages)

    def _export(self) -> None:
        if self._not_through_onnx("export"):
            return

        def action() -> str:
            from ssdconvert.stages.export import export

            return export(self.recipe, self.original, self.workspace.path(EXPORTED), suppresses)

        suppresses = self.plan.tail == "nms"  # no ONNX engine runs the others

        rule = self.recipe.detections.model_dump(mode="json", exclude={"labels", "boxes", "units"})
        inputs = {
            "source": self.source.digests,
            "source_form": self.source_form(),
            "input": self.recipe.input.model_dump(mode="json", include={"name", "shape"}),
            "detections": rule | {"classes": self.recipe.classes},
            **self.part("opset"),
            "ends_in": "detections" if suppresses else "heads",
            "tools": tool_versions(("torch", "onnx")),
        }
        self.stages.run("export", inputs, [EXPORTED], action)

    def _simplify(self) -> None:
        if self._not_through_onnx("simplify"):
            return

        def action() -> str:
            from ssdconvert.ssd.preprocess import original_input
            from ssdconvert.stages.simplify import keep_quantised, simplify

            source, target = self.workspace.path(EXPORTED), self.workspace.path(self.plan.onnx)
            if self.original.quantised:
                return keep_quantised(source, target)
            pictures = self.pictures if inputs["proven"] else []
            images = [original_input(read_picture(path), self.recipe.input) for _, path in pictures]
            return simplify(source, target, self.original.heads, self.recipe.input.name, images)

        # the pictures prove the result, they do not shape it: they are no input of this stage
        inputs: dict[str, Any] = {
            "files": self.digests("export"),
            "proven": True,
            "tools": tool_versions(("onnx", "onnxsim", "onnxruntime")),
        }
        if not self.options.verify and self.stages.why_stale("simplify", inputs, [self.plan.onnx]):
            inputs["proven"] = False  # what was proven earlier stays so
        self.stages.run("simplify", inputs, [self.plan.onnx], action)

    def _not_through_onnx(self, stage: str) -> bool:
        """Tell of a stage that sources of other kinds do not have."""
        if not self.plan.through_onnx:
            kind = {"caffe": "Caffe is converted directly", "ir": "it is OpenVINO IR already"}
            self.stages.tell(StageResult(stage, "skipped", 0.0, kind[self.recipe.source.kind]))
        return not self.plan.through_onnx

    def _convert(self) -> None:
        outputs = [
            path for xml in self.plan.converted.values() for path in (xml, f"{xml.removesuffix('.xml')}.bin")
        ]

        def action() -> str:
            from ssdconvert.stages.convert import adopt, convert, convert_caffe, convert_heads

            if "INT8" not in self.plan.irs:
                self.remove_quantised()
            for precision in PRECISIONS:  # one that is not asked for any more would be of an earlier recipe
                for path in ir_files(self.recipe.name, precision):
                    self.workspace.path(path).unlink(missing_ok=True)
            delete_for_myriad(self.recipe.name, self.workspace.folder)  # made beside an earlier IR
            targets = {precision: self.workspace.path(xml) for precision, xml in self.plan.converted.items()}
            sources, tail = self.source.digests, self.plan.tail
            graph = self.workspace.path(self.plan.onnx)
            if self.plan.through_onnx and tail == "nms":
                return convert(self.recipe, graph, targets, sources, self.plan.converter, self.plan.bake)
            if self.plan.through_onnx:
                return convert_heads(self.recipe, self.original, graph, tail, targets, sources)
            if self.recipe.source.kind == "caffe":
                return convert_caffe(self.recipe, self.original, self.source.paths, targets, sources, tail)
            _ = self.original  # which refuses what does not fit, before anything is copied
            return adopt(self.recipe, self.source.paths, targets)

        toolchain = "caffe" if self.recipe.source.kind == "caffe" else None
        if self.plan.converter == "openvino":
            toolchain = CONVERTING
        inputs = {
            "files": self.digests("simplify") if self.plan.through_onnx else {},
            "source": self.source.digests,
            "source_form": self.source_form(),
            **self.part("name", "title", "licence", "input", "detections"),
            "labels": list(self.recipe.class_names),
            "precisions": list(self.plan.converted),
            "tail": self.plan.tail,
            "converter": self.plan.converter,
            "bake": self.plan.bake,
            "tools": tool_versions(("openvino", "openvino-dev")),
            "toolchain": kind_of(toolchain).pins() if toolchain else {},
        }
        self.stages.run("convert", inputs, outputs, action)

    def _quantize(self) -> None:
        """Make 8 bits of FP32, where they are asked for and the source has none of its own."""
        path, files = self.workspace.path, ir_files(self.recipe.name, "INT8")
        if not self.plan.quantises:
            if "INT8" not in self.plan.irs:
                self.remove_quantised()
            return
        options, pictures = self.options.calibration, self.calibration
        assert pictures is not None

        def action() -> str:
            from ssdconvert.stages.quantize import quantize

            cost = quantize(
                self.recipe,
                self.original,
                path(self.plan.irs["FP32"]),
                path(files[0]),
                pictures,
                options,
                self.source.digests,
                self.plan.tail,
                self.plan.converter,
                self.plan.bake,
            )
            cost.write(self.workspace.folder)
            return cost.told

        inputs = {
            "files": self.digests("convert"),
            "pictures": pictures.digests(),
            "options": asdict(options),
            "tools": tool_versions(("openvino", "nncf")),
        }
        self.stages.run("quantize", inputs, [*files, COST], action)

    def _myriad(self) -> None:
        """Make what MYRIAD needs, where it is asked for: IR v10 and a blob."""
        if not any(is_myriad(machine.device) for machine in self.options.machines):
            delete_for_myriad(self.recipe.name, self.workspace.folder)  # of an earlier build
            return
        missing = "" if locate(TOOLCHAIN).state == "ready" else f"the toolchain {TOOLCHAIN} is not there"
        reason = missing or not_for_myriad(self.plan)
        if reason:
            delete_for_myriad(self.recipe.name, self.workspace.folder)
            self.stages.tell(StageResult("myriad", "skipped", 0.0, reason))
            return

        def action() -> str:
            from ssdconvert.stages.myriad import compile_for_myriad

            return compile_for_myriad(
                self.recipe, self.original, self.workspace.path(self.plan.onnx), self.workspace.folder
            )

        kind = kind_of(TOOLCHAIN)
        inputs = {
            "files": self.digests("simplify"),
            "source": self.source.digests,
            "source_form": self.source_form(),
            **self.part("input", "detections"),
            "classes": self.recipe.classes,
            "tools": tool_versions(("onnx", "openvino")),
            "toolchain": {**kind.pins(), "digest": kind.digest()},
        }
        # none where Model Optimizer refuses the model, no blob where its compiler does
        self.stages.run("myriad", inputs, [FACTS], action, possible=files_for_myriad(self.recipe.name))

    def _verify(self) -> None:
        path = self.workspace.path

        def action() -> str:
            from ssdconvert.candidates import candidates_of
            from ssdconvert.stages.verify import verify

            evidence = self.source.evidence.path if self.source.evidence else None
            machines = self.options.machines
            candidates = candidates_of(
                self.plan,
                self.original,
                self.workspace.folder,
                machines,
                evidence,
                running(self.options.toolchains),
            )
            required = self.options.required_devices
            verification = verify(
                self.recipe,
                self.original,
                candidates,
                [*self.verified_pictures(), *self.recorded],
                required,
                self.options.trace,
                path(ACCEPTANCE),
            )
            if self.plan.quantises:
                verification = replace(verification, checks=(*verification.checks, self.accuracy_check()))
            verification = replace(verification, **told_of(machines))
            if all(is_myriad(machine.device) for machine in machines):
                verification = open_without_a_stick(verification)
            self.result.verification = verification
            write_json(path("report.json"), verification.to_json())
            return f"{verification.verdict}, {len(verification.checks)} checks"

        def keep() -> bool:
            """A verdict that is not `pass`, and a device that was absent, are looked at again next time."""
            verification = self.result.verification
            return verification is not None and verification.verdict == "pass" and not verification.skipped

        inputs = {
            "files": self.digests(*(("export", "simplify") if self.plan.through_onnx else ()), "convert"),
            "quantised": self.digests("quantize") if self.plan.quantises else {},
            "myriad": self.myriad_digests(),
            "source": self.source.digests,
            "source_form": self.source_form(),
            "evidence": self.source.evidence.sha256 if self.source.evidence else "",
            **self.part("input", "detections", "limits"),
            "pictures": self.verified_picture_digests(),
            "tail": self.plan.tail,
            "devices": [machine.device for machine in self.options.machines],
            "settings": [inputs_of(machine) for machine in self.options.machines],
            "bake": self.plan.bake,
            "required_devices": list(self.options.required_devices),
            "toolchains": self.toolchain_pins(),
            "tools": tool_versions(),
        }
        self.stages.run("verify", inputs, ["report.json", ACCEPTANCE], action, keep)
        if self.result.verification is None:
            self.result.verification = verification_from_json(
                json.loads(path("report.json").read_text("utf-8"))
            )

    def _detect(self) -> None:
        (name, picture), ir = self.pictures[0], self.plan.irs[self.plan.precisions[0]]

        def action() -> str:
            from ssdconvert.stages.detect import DEFAULT_THRESHOLD, detect, detections_document, draw

            pixels = read_picture(picture)
            found, device = detect(self.workspace.path(ir), pixels, "CPU", DEFAULT_THRESHOLD, self.recipe)
            draw(pixels, found, self.workspace.path("reference.png"))
            document = detections_document(ir, device, name, pixels, "reference.png", found)
            write_json(self.workspace.path("detections.json"), document)
            best = ", ".join(f"{f.name} {f.score:.2f}" for f in found[:4])
            return f"{len(found)} found on {name}: {best}" if found else f"nothing found on {name}"

        inputs = {
            "files": {
                path: digest for path, digest in self.digests("convert").items() if path.startswith(ir[:-4])
            },
            "picture": self.picture_digests()[0],
            **self.part("input", "detections"),  # a ready IR does not say itself how it is fed
            "tools": tool_versions(("openvino", "pillow")),
        }
        self.stages.run("detect", inputs, ["reference.png", "detections.json"], action)

    def _report(self) -> None:
        def action() -> str:
            from ssdconvert.stages.report import report

            assert self.result.verification is not None
            pictures = self.verified_pictures()
            return report(self.recipe, self.result.verification, pictures, self.workspace.folder)

        inputs = {
            "report": digest_of(self.workspace.path("report.json")),
            "pictures": self.verified_picture_digests(),
            **self.part("title", "input", "detections"),
            "tools": tool_versions((*TOOLS, "jinja2")),
        }
        self.stages.run("report", inputs, REPORTS, action)

    def _manifest(self) -> None:
        from ssdconvert.release.documents import recipe_entry, write_documents
        from ssdconvert.release.resolved_recipe import resolved
        from ssdconvert.stages.manifest import artefact_entries, manifest_document

        started = time.monotonic()
        with self.stages.failing("manifest", started):
            evidence = [self.source.evidence] if self.source.evidence else []
            recipe = resolved(self.recipe, [*self.source.files, *evidence])
            self.result.artefacts = [
                *artefact_entries(self.workspace, self.artefacts()),
                recipe_entry(recipe),
            ]
            machines = self.options.machines
            gate = {
                "pictures": self.verified_picture_digests(),
                "devices": [machine.device for machine in machines],
                **told_of(machines),
            }
            if self.options.toolchains:
                gate["toolchains"] = self.toolchain_pins()
            document = manifest_document(
                self.recipe,
                self.source.files,
                self.source.evidence,
                self.result.artefacts,
                self.result.verdict,
                self.stages.code,
                gate,
                self.plan.tail,
                self.plan.converter,
                self.plan.bake,
                recipe,
                read_cost(self.workspace.folder).to_json() if self.plan.quantises else None,
            )
            write_documents(self.workspace.folder, document, recipe, self.result.verification)
        self.stages.tell(StageResult("manifest", "done", time.monotonic() - started, "", "manifest.json"))
