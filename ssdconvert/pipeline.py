"""The order of the stages, and what each depends on."""

import json
import time
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ssdconvert.build_result import BuildOptions, BuildResult, StageResult
from ssdconvert.catalog import CatalogEntry
from ssdconvert.errors import RecipeError
from ssdconvert.pictures import named_pictures, read_picture
from ssdconvert.report.result import verification_from_json
from ssdconvert.samples import Picture
from ssdconvert.stage_runner import StageRunner
from ssdconvert.stages.fetch import Fetched, fetch
from ssdconvert.versions import tool_versions
from ssdconvert.workspace import (
    EXPORTED,
    PRIVATE,
    Workspace,
    digest_of,
    ir_files,
    write_json,
    written_atomically,
)

if TYPE_CHECKING:
    from ssdconvert.originals import Original

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
    _refuse_what_cannot_be_built(entry, options)
    workspace = Workspace(options.output)
    with workspace.locked(on_wait):
        workspace.claim(entry.recipe.name)
        return _Build(entry, options, workspace, on_stage).run(until)


def _refuse_what_cannot_be_built(entry: CatalogEntry, options: BuildOptions) -> None:
    """Raise RecipeError for a precision, or for boxes, that no stage can make."""
    recipe = entry.recipe
    for precision in options.precisions or recipe.precisions:
        if precision not in BUILDABLE:
            raise RecipeError(
                f"{recipe.name}: precision {precision} cannot be built by this version",
                hint=f"ask for --precision {' or '.join(BUILDABLE)}",
            )
    if recipe.detections.units != "normalised":
        raise RecipeError(
            f"{recipe.name}: boxes in {recipe.detections.units} cannot be converted by this version",
            hint="only detections.units: normalised can",
        )


class _Build:
    """One run of the pipeline."""

    def __init__(
        self,
        entry: CatalogEntry,
        options: BuildOptions,
        workspace: Workspace,
        on_stage: Callable[[StageResult], None],
    ) -> None:
        self.recipe, self.options, self.workspace = entry.recipe, options, workspace
        self.stages = StageRunner(workspace, options.rerun, on_stage)
        self.precisions = tuple(dict.fromkeys(options.precisions or self.recipe.precisions))
        self.pictures = named_pictures(entry)
        self.files: list[Fetched] = []
        self.onnx = f"{self.recipe.name}.onnx"
        self.result = BuildResult(self.recipe.name, workspace.folder, self.stages.results)

    def run(self, until: str) -> BuildResult:
        from ssdconvert.stages.manifest import artefact_entries

        for name in STAGES:
            if name != "load":  # loaded by the first stage that needs it
                getattr(self, f"_{name}")()
            if name == until:
                break
        if not self.result.artefacts:  # it ended before the manifest, which lists them
            self.result.artefacts = artefact_entries(self.workspace, self._artefacts())
        return self.result

    # --- what the stages share

    @cached_property
    def original(self) -> "Original":
        """The original model, loaded when the first stage needs it."""
        from ssdconvert.stages.load import load

        started = time.monotonic()
        with self.stages.failing("load", started):
            original = load(self.recipe, {file.name: file.path for file in self.files})
        summary = f"{original.default_boxes} default boxes x {self.recipe.classes} classes"
        notes = "; ".join(original.notes)
        self.stages.tell(StageResult("load", "done", time.monotonic() - started, notes, summary))
        return original

    @cached_property
    def irs(self) -> dict[str, str]:
        """Relative path of the .xml of each precision.

        A lower precision alone would be judged by its own wide limits: FP32 is always made and judged
        too, in the private folder when it is not asked for.
        """
        irs = {precision: ir_files(self.recipe.name, precision)[0] for precision in self.precisions}
        return {"FP32": f"{PRIVATE}/{ir_files(self.recipe.name, 'FP32')[0]}"} | irs

    def _artefacts(self) -> dict[str, str | None]:
        """Return what has been made so far for the user: relative path -> weight precision."""
        shipped = [path for path in self.stages.made if not path.startswith(PRIVATE)]
        folders = {path: path.partition("/")[0] for path in shipped}
        return {path: folder if folder in BUILDABLE else None for path, folder in folders.items()}

    def _digests(self, *stages: str) -> dict[str, str]:
        return {path: digest for stage in stages for path, digest in self.workspace.digests(stage).items()}

    def _sources(self) -> dict[str, str]:
        return {file.name: file.sha256 for file in self.files}

    def _picture_digests(self) -> list[list[str]]:
        return [[name, digest_of(path)] for name, path in self.pictures]

    def _part(self, *keys: str) -> dict[str, Any]:
        """Return some keys of the recipe, as inputs of a stage."""
        return self.recipe.model_dump(mode="json", include=set(keys))

    # --- the stages

    def _fetch(self) -> None:
        started = time.monotonic()
        with self.stages.failing("fetch", started):
            self.files = fetch(self.recipe, self.options.fetch)
        status = "cached" if all(file.origin == "cache" for file in self.files) else "done"
        reason = "in the cache" if status == "cached" else f"from {', '.join(f.origin for f in self.files)}"
        summary = ", ".join(f"{f.name} {f.bytes / 1e6:.1f} MB sha256 {f.sha256[:8]}..." for f in self.files)
        self.stages.tell(StageResult("fetch", status, time.monotonic() - started, reason, summary))

    def _export(self) -> None:
        def action() -> str:
            from ssdconvert.stages.export import export

            return export(self.recipe, self.original, self.workspace.path(EXPORTED))

        rule = self.recipe.detections.model_dump(mode="json", exclude={"labels", "boxes", "units"})
        inputs = {
            "source": self._sources(),
            "source_form": self.recipe.source.model_dump(mode="json", exclude={"files"}),
            "input": self.recipe.input.model_dump(mode="json", include={"name", "shape"}),
            "detections": rule | {"classes": self.recipe.classes},
            **self._part("opset"),
            "tools": tool_versions(("torch", "onnx")),
        }
        self.stages.run("export", inputs, [EXPORTED], action)

    def _simplify(self) -> None:
        def action() -> str:
            from ssdconvert.ssd.preprocess import original_input
            from ssdconvert.stages.simplify import simplify

            images = [original_input(read_picture(path), self.recipe.input) for _, path in self.pictures]
            source, target = self.workspace.path(EXPORTED), self.workspace.path(self.onnx)
            return simplify(source, target, self.original.heads, self.recipe.input.name, images)

        # the pictures prove the result, they do not shape it: they are no input of this stage
        inputs = {
            "files": self._digests("export"),
            "tools": tool_versions(("onnx", "onnxsim", "onnxruntime")),
        }
        self.stages.run("simplify", inputs, [self.onnx], action)

    def _convert(self) -> None:
        outputs = [path for xml in self.irs.values() for path in (xml, f"{xml.removesuffix('.xml')}.bin")]

        def action() -> str:
            from ssdconvert.stages.convert import convert

            for precision in BUILDABLE:  # one that is not asked for any more would be of an earlier recipe
                for path in ir_files(self.recipe.name, precision):
                    self.workspace.path(path).unlink(missing_ok=True)
            targets = {precision: self.workspace.path(xml) for precision, xml in self.irs.items()}
            return convert(self.recipe, self.workspace.path(self.onnx), targets, self._sources())

        inputs = {
            "files": self._digests("simplify"),
            "source": self._sources(),
            **self._part("name", "title", "licence", "input"),
            "labels": list(self.recipe.class_names),
            "precisions": list(self.precisions),
            "tools": tool_versions(("openvino", "openvino-dev")),
        }
        self.stages.run("convert", inputs, outputs, action)

    def _verify(self) -> None:
        path = self.workspace.path

        def action() -> str:
            from ssdconvert.stages.verify import candidates_of, verify

            irs = {precision: path(xml) for precision, xml in self.irs.items()}
            candidates = candidates_of(
                self.original, path(EXPORTED), path(self.onnx), irs, self.options.devices
            )
            pictures = [Picture(name, read_picture(picture)) for name, picture in self.pictures]
            required = self.options.required_devices
            self.result.verification = verify(self.recipe, self.original, candidates, pictures, required)
            write_json(path("report.json"), self.result.verification.to_json())
            return f"{self.result.verdict}, {len(self.result.verification.checks)} checks"

        def keep() -> bool:
            """A verdict that is not `pass`, and a device that was absent, are looked at again next time."""
            verification = self.result.verification
            return verification is not None and verification.verdict == "pass" and not verification.skipped

        inputs = {
            "files": self._digests("export", "simplify", "convert"),
            "source": self._sources(),
            **self._part("input", "detections", "limits"),
            "pictures": self._picture_digests(),
            "devices": list(self.options.devices),
            "required_devices": list(self.options.required_devices),
            "tools": tool_versions(),
        }
        self.stages.run("verify", inputs, ["report.json"], action, keep)
        if self.result.verification is None:
            self.result.verification = verification_from_json(
                json.loads(path("report.json").read_text("utf-8"))
            )

    def _detect(self) -> None:
        (name, picture), ir = self.pictures[0], self.irs[self.precisions[0]]

        def action() -> str:
            from ssdconvert.stages.detect import DEFAULT_THRESHOLD, detect, detections_document, draw

            pixels = read_picture(picture)
            found, device = detect(self.workspace.path(ir), pixels, "CPU", DEFAULT_THRESHOLD)
            draw(pixels, found, self.workspace.path("reference.png"))
            document = detections_document(ir, device, name, pixels, "reference.png", found)
            write_json(self.workspace.path("detections.json"), document)
            best = ", ".join(f"{f.name} {f.score:.2f}" for f in found[:4])
            return f"{len(found)} found on {name}: {best}" if found else f"nothing found on {name}"

        inputs = {
            "files": {
                path: digest for path, digest in self._digests("convert").items() if path.startswith(ir[:-4])
            },
            "picture": self._picture_digests()[0],
            "tools": tool_versions(("openvino", "pillow")),
        }
        self.stages.run("detect", inputs, ["reference.png", "detections.json"], action)

    def _report(self) -> None:
        def action() -> str:
            from ssdconvert.report.markdown import to_markdown

            assert self.result.verification is not None
            with written_atomically(self.workspace.path("report.md")) as temporary:
                temporary.write_text(to_markdown(self.result.verification), "utf-8")
            return "report.md"

        self.stages.run(
            "report", {"report": digest_of(self.workspace.path("report.json"))}, ["report.md"], action
        )

    def _manifest(self) -> None:
        from ssdconvert.stages.manifest import artefact_entries, manifest_document

        started = time.monotonic()
        with self.stages.failing("manifest", started):
            self.result.artefacts = artefact_entries(self.workspace, self._artefacts())
            gate = {"pictures": self._picture_digests(), "devices": list(self.options.devices)}
            document = manifest_document(
                self.recipe, self.files, self.result.artefacts, self.result.verdict, self.stages.code, gate
            )
            write_json(self.workspace.path("manifest.json"), document)
        self.stages.tell(StageResult("manifest", "done", time.monotonic() - started, "", "manifest.json"))
