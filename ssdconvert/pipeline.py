"""The order of the stages, and when one may be skipped."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssdconvert.build_result import BuildOptions, BuildResult, StageResult
from ssdconvert.catalog import CatalogEntry
from ssdconvert.errors import RecipeError, SsdconvertError
from ssdconvert.pictures import pictures_of, read_picture
from ssdconvert.report.result import verification_from_json
from ssdconvert.stages.fetch import Fetched, fetch
from ssdconvert.versions import tool_versions
from ssdconvert.workspace import (
    EXPORTED,
    Workspace,
    code_digest,
    digest_of,
    ir_files,
    write_json,
    written_atomically,
)

if TYPE_CHECKING:
    from ssdconvert.stages.load import Original

STAGES = ("fetch", "load", "export", "simplify", "convert", "verify", "detect", "report", "manifest")
BUILDABLE = ("FP32", "FP16")


def build(
    entry: CatalogEntry,
    options: BuildOptions,
    until: str = "manifest",
    on_stage: Callable[[StageResult], None] = lambda result: None,
    on_wait: Callable[[], None] = lambda: None,
) -> BuildResult:
    """Run the stages of a recipe up to `until`, those that are not up to date.

    `on_stage` hears of each stage as it ends, `on_wait` when another process holds the build folder.
    The result's verdict tells whether the model is right; only expected failures raise.
    """
    workspace = Workspace(options.output)
    with workspace.locked(on_wait):
        return _Build(entry, options, workspace, on_stage).run(until)


class _Build:
    """One run of the pipeline."""

    def __init__(
        self,
        entry: CatalogEntry,
        options: BuildOptions,
        workspace: Workspace,
        on_stage: Callable[[StageResult], None],
    ) -> None:
        self.entry, self.recipe, self.options = entry, entry.recipe, options
        self.workspace, self.on_stage = workspace, on_stage
        self.precisions = options.precisions or self.recipe.precisions
        unbuildable = [precision for precision in self.precisions if precision not in BUILDABLE]
        if unbuildable:
            raise RecipeError(
                f"{self.recipe.name}: precision {unbuildable[0]} cannot be built by this version",
                hint=f"ask for --precision {' or '.join(BUILDABLE)}",
            )
        self.result = BuildResult(self.recipe.name, workspace.folder)
        self.files: list[Fetched] = []
        self.made: dict[str, str | None] = {}  # artefacts so far, relative path -> weight precision
        self.code = code_digest()
        self.onnx = f"{self.recipe.name}.onnx"

    def run(self, until: str) -> BuildResult:
        from ssdconvert.stages.manifest import artefact_entries

        for name in STAGES:
            if name != "load":  # loaded by the first stage that needs it
                getattr(self, f"_{name}")()
            if name == until:
                break
        if not self.result.artefacts:  # it ended before the manifest
            self.result.artefacts = artefact_entries(self.workspace, self.made)
        return self.result

    # --- what the stages share

    @cached_property
    def original(self) -> "Original":
        """The original model, loaded when the first stage needs it."""
        from ssdconvert.stages.load import load

        started = time.monotonic()
        with self._failing("load", started):
            original = load(self.recipe, {file.name: file.path for file in self.files})
        summary = f"{original.default_boxes} default boxes x {self.recipe.classes} classes"
        notes = "; ".join(original.notes)
        self._tell(StageResult("load", "done", time.monotonic() - started, notes, summary))
        return original

    @cached_property
    def pictures(self) -> list[Path]:
        """The recipe's pictures, or those that ssdconvert embeds."""
        return pictures_of(self.entry)

    def _normalised_images(self) -> list[Any]:
        from ssdconvert.ssd.preprocess import original_input

        return [original_input(read_picture(path), self.recipe.input) for path in self.pictures]

    def _digests(self, *stages: str) -> dict[str, str]:
        return {path: digest for stage in stages for path, digest in self.workspace.digests(stage).items()}

    def _part(self, *keys: str) -> dict[str, Any]:
        """Return some keys of the recipe, as inputs of a stage."""
        return self.recipe.model_dump(mode="json", include=set(keys))

    def _stage(
        self,
        name: str,
        inputs: Mapping[str, Any],
        outputs: Sequence[str],
        action: Callable[[], str],
        keep: Callable[[], bool] = lambda: True,
    ) -> None:
        """Run a stage unless it is up to date; it is remembered when `keep` says so afterwards."""
        inputs = {**inputs, "code": self.code}
        self.made |= {path: self._precision_of(path) for path in outputs if path != EXPORTED}
        reason = self.workspace.why_stale(name, inputs, outputs)
        if not reason and name in self.options.rerun:
            reason = "asked for"
        if not reason:
            self._tell(StageResult(name, "cached", 0.0, "up to date"))
            return
        self.workspace.forget(name)
        loaded_before = "original" in self.__dict__
        started = time.monotonic()
        with self._failing(name, started):
            summary = action()
        seconds = time.monotonic() - started
        if not loaded_before and "original" in self.__dict__:
            seconds -= next(stage.seconds for stage in self.result.stages if stage.name == "load")
        if keep():
            self.workspace.record(name, inputs, outputs)
        self._tell(StageResult(name, "done", seconds, reason, summary))

    def _precision_of(self, path: str) -> str | None:
        folder = path.partition("/")[0]
        return folder if folder in self.precisions else None

    def _tell(self, result: StageResult) -> None:
        self.result.stages.append(result)
        self.on_stage(result)

    @contextmanager
    def _failing(self, name: str, started: float) -> Iterator[None]:
        """Tell of a stage that ends in an expected failure, once, and let the failure go on."""
        try:
            yield
        except SsdconvertError as error:
            if not any(stage.status == "failed" for stage in self.result.stages):
                self._tell(StageResult(name, "failed", time.monotonic() - started, error.message))
            raise

    # --- the stages

    def _fetch(self) -> None:
        started = time.monotonic()
        with self._failing("fetch", started):
            self.files = fetch(self.recipe, self.options.fetch)
        cached = all(file.origin == "cache" for file in self.files)
        summary = ", ".join(f"{f.name} {f.bytes / 1e6:.1f} MB sha256 {f.sha256[:8]}..." for f in self.files)
        reason = "in the cache" if cached else f"from {', '.join(f.origin for f in self.files)}"
        self._tell(
            StageResult("fetch", "cached" if cached else "done", time.monotonic() - started, reason, summary)
        )

    def _export(self) -> None:
        def action() -> str:
            from ssdconvert.stages.export import export

            return export(self.recipe, self.original, self.workspace.path(EXPORTED))

        rule = self.recipe.detections.model_dump(mode="json", exclude={"labels", "boxes", "units"})
        inputs = {
            "source": {file.name: file.sha256 for file in self.files},
            "source_form": self.recipe.source.model_dump(mode="json", exclude={"files"}),
            "input": self.recipe.input.model_dump(mode="json", include={"name", "shape"}),
            "detections": rule | {"classes": self.recipe.classes},
            **self._part("opset"),
            "tools": tool_versions(("torch", "onnx")),
        }
        self._stage("export", inputs, [EXPORTED], action)

    def _simplify(self) -> None:
        def action() -> str:
            from ssdconvert.stages.simplify import simplify

            return simplify(
                self.workspace.path(EXPORTED),
                self.workspace.path(self.onnx),
                self.original.heads,
                self.recipe.input.name,
                self._normalised_images(),
            )

        # the pictures prove the result, they do not shape it: they are no input of this stage
        inputs = {
            "files": self._digests("export"),
            "tools": tool_versions(("onnx", "onnxsim", "onnxruntime")),
        }
        self._stage("simplify", inputs, [self.onnx], action)

    def _convert(self) -> None:
        def action() -> str:
            from ssdconvert.stages.convert import convert

            for precision in BUILDABLE:  # an IR that this build does not make is one of another recipe by now
                for path in ir_files(self.recipe.name, precision):
                    self.workspace.path(path).unlink(missing_ok=True)
            targets = {p: self.workspace.path(ir_files(self.recipe.name, p)[0]) for p in self.precisions}
            sources = {file.name: file.sha256 for file in self.files}
            return convert(self.recipe, self.workspace.path(self.onnx), targets, sources)

        inputs = {
            "files": self._digests("simplify"),
            **self._part("name", "title", "licence", "input"),
            "labels": list(self.recipe.class_names),
            "precisions": list(self.precisions),
            "tools": tool_versions(("openvino", "openvino-dev")),
        }
        outputs = [path for precision in self.precisions for path in ir_files(self.recipe.name, precision)]
        self._stage("convert", inputs, outputs, action)

    def _verify(self) -> None:
        def action() -> str:
            from ssdconvert.stages.verify import candidates_of, verify

            path = self.workspace.path
            irs = {p: path(ir_files(self.recipe.name, p)[0]) for p in self.precisions}
            candidates = candidates_of(
                self.original, path(EXPORTED), path(self.onnx), irs, self.options.devices
            )
            pictures = [(picture.name, read_picture(picture)) for picture in self.pictures]
            required = self.options.required_devices
            self.result.verification = verify(self.recipe, self.original, candidates, pictures, required)
            write_json(path("report.json"), self.result.verification.to_json())
            return f"{self.result.verdict}, {len(self.result.verification.checks)} checks"

        inputs = {
            "files": self._digests("export", "simplify", "convert"),
            "source": {file.name: file.sha256 for file in self.files},
            **self._part("input", "detections", "limits"),
            "pictures": {path.name: digest_of(path) for path in self.pictures},
            "devices": list(self.options.devices),
            "tools": tool_versions(),
        }
        self._stage("verify", inputs, ["report.json"], action, keep=lambda: self.result.verdict == "pass")
        if self.result.verification is None:
            document = json.loads(self.workspace.path("report.json").read_text("utf-8"))
            self.result.verification = verification_from_json(document)

    def _detect(self) -> None:
        picture, precision = self.pictures[0], self.precisions[0]
        ir = ir_files(self.recipe.name, precision)

        def action() -> str:
            from ssdconvert.stages.detect import DEFAULT_THRESHOLD, detect, detections_document, draw

            pixels = read_picture(picture)
            found, device = detect(self.recipe, self.workspace.path(ir[0]), pixels, "CPU", DEFAULT_THRESHOLD)
            draw(pixels, found, self.workspace.path("reference.png"))
            document = detections_document(ir[0], device, picture.name, pixels, "reference.png", found)
            write_json(self.workspace.path("detections.json"), document)
            best = ", ".join(f"{f.name} {f.score:.2f}" for f in found[:4])
            return (
                f"{len(found)} found on {picture.name}: {best}"
                if found
                else f"nothing found on {picture.name}"
            )

        inputs = {
            "files": {path: digest for path, digest in self._digests("convert").items() if path in ir},
            **self._part("input", "detections"),
            "picture": {picture.name: digest_of(picture)},
            "tools": tool_versions(("openvino", "pillow")),
        }
        self._stage("detect", inputs, ["reference.png", "detections.json"], action)

    def _report(self) -> None:
        def action() -> str:
            from ssdconvert.report.markdown import to_markdown

            assert self.result.verification is not None
            with written_atomically(self.workspace.path("report.md")) as temporary:
                temporary.write_text(to_markdown(self.result.verification), "utf-8")
            return "report.md"

        inputs = {"report": digest_of(self.workspace.path("report.json"))}
        self._stage("report", inputs, ["report.md"], action)

    def _manifest(self) -> None:
        from ssdconvert.stages.manifest import artefact_entries, manifest_document

        started = time.monotonic()
        self.result.artefacts = artefact_entries(self.workspace, self.made)
        document = manifest_document(
            self.recipe, self.files, self.result.artefacts, self.result.verdict, self.code
        )
        write_json(self.workspace.path("manifest.json"), document)
        self._tell(StageResult("manifest", "done", time.monotonic() - started, "", "manifest.json"))
