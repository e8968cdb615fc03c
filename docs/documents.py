"""What each command prints with --json, and which exit codes it has: what its help does not say.

A document is JSON: a name in capitals or a word stands for a value, `a|b` for one of several, a list holds one sample
of its elements. `tests/cli/test_pages.py` holds them against what the commands print.
"""

CHECK = """{"hop": "onnx|simplified|ir|control|simulated|...", "level": "heads|detections|control|contract",
              "device": "CPU", "runtime": "openvino VERSION", "precision": "FP32|FP16|INT8",
              "input": "PICTURE", "output": "TENSOR", "metric": "WORDS",
              "value": "number|null", "limit": "number|null", "required": "number|null",
              "status": "pass|fail|skipped|inconclusive", "reason": "WORDS",
              "executed_on": "DEVICE", "execution_precision": "f32|f16|bf16",
              "statistics": {}, "histogram": ["count"]}"""
VERIFICATION = f"""{{"schema": 1, "recipe": "NAME", "verdict": "pass|fail|inconclusive", "reason": "WORDS",
  "reference": "ENGINE VERSION", "pictures": ["PICTURE"], "reference_detections": "number|null",
  "checks": [{CHECK}],
  "shown": [{{"input": "PICTURE", "candidate": "WORDS",
             "original": [{{"label": "number", "score": "number", "box": ["0..1"]}}],
             "converted": [{{"label": "number", "score": "number", "box": ["0..1"]}}]}}],
  "traces": [], "warnings": ["WORDS"], "settings": {{}}, "extensions": []}}"""
BUILD = """{"recipe": "NAME", "verdict": "pass|fail|inconclusive|unverified", "output": "DIR",
  "stages": [{"name": "STAGE", "status": "done|cached|skipped|failed", "seconds": "number", "reason": "WORDS",
              "summary": "WORDS"}],
  "artifacts": [{"path": "RELATIVE PATH", "sha256": "HEX", "bytes": "number", "precision": "FP32|FP16|INT8|null"}],
  "report": "FILE|null", "manifest": "FILE|null"}"""
FETCHED = """[{"recipe": "NAME", "name": "FILE", "path": "FILE", "sha256": "HEX", "bytes": "number",
   "origin": "URL|cache|...", "pinned": "true|false"}]"""
TOOLCHAIN = """{"name": "NAME", "state": "ready", "path": "DIR", "python": "VERSION", "versions": {}}"""

DOCUMENTS = {
    "list": """[{"name": "NAME", "kind": "pytorch|onnx|caffe|ir", "title": "WORDS", "input": [1],
   "classes": "number", "licence": "SPDX", "cached": "true|false", "built": "true|false"}]""",
    "build": BUILD,
    "export": BUILD,
    "convert": BUILD,
    "fetch": FETCHED,
    "verify": VERIFICATION,
    "detect": """{"model": "FILE", "device": "CPU", "image": "FILE", "size": ["width, height"], "output": "FILE|null",
  "detections": [{"label": "number", "name": "CLASS", "score": "number", "box": ["pixels: x1, y1, x2, y2"]}]}""",
    "report": """{"verdict": "pass|fail", "index": "FILE", "junit": "FILE",
  "builds": [{"recipe": "NAME", "verdict": "pass|fail|inconclusive|unverified|unbuilt", "reason": "WORDS",
              "output": "DIR", "stand_in": "true|false", "archive": "FILE|null"}]}""",
    "package": """{"recipe": "NAME", "archive": "FILE", "sha256": "HEX", "bytes": "number",
  "files": [{"path": "RELATIVE PATH", "sha256": "HEX", "bytes": "number"}], "signed": "true|false",
  "warnings": ["WORDS"]}""",
    "check": """{"path": "DIR|FILE", "recipe": "NAME", "verdict": "pass|fail", "verified_when_built": "true|false",
  "files": [{"path": "RELATIVE PATH", "bytes": "number", "sha256": "HEX", "status": "ok|..."}],
  "problems": [{"path": "RELATIVE PATH", "problem": "WORDS"}],
  "warnings": [{"path": "RELATIVE PATH", "problem": "WORDS"}],
  "signature": "verified|absent|not asked|wrong", "run": "null, or the document of verify"}""",
    "doctor": """{"python": "VERSION", "executable": "FILE", "platform": "WORDS", "versions": {},
  "devices": [{"name": "CPU", "full_name": "WORDS", "capabilities": ["FP32"]}], "toolchains": {},
  "cache": {"path": "DIR", "files": "number", "bytes": "number"}}""",
    "toolchain list": """[{"name": "NAME", "state": "ready|missing|broken", "title": "WORDS", "path": "DIR",
   "megabytes": "number", "python": "VERSIONS"}]""",
    "toolchain add": TOOLCHAIN,
    "toolchain check": TOOLCHAIN,
    "toolchain remove": """{"name": "NAME", "removed": "true|false"}""",
    "cache list": """{"path": "DIR", "bytes": "number",
  "files": [{"recipe": "NAME", "name": "FILE", "path": "FILE", "bytes": "number", "sha256": "HEX", "recipes": "number",
             "last_used": "TIME"}],
  "partial": [{"file": "RECIPE/FILE", "path": "FILE", "bytes": "number", "total": "number|null"}],
  "rejected": [{"path": "FILE", "bytes": "number"}]}""",
    "cache verify": """[{"file": "RECIPE/FILE", "path": "FILE", "status": "ok|unpinned|damaged", "sha256": "HEX",
   "problem": "WORDS", "done": "WORDS"}]""",
    "cache prune": """{"removed": [{"file": "RECIPE/FILE", "reason": "WORDS", "freed": "bytes"}], "freed": "bytes",
  "dry_run": "true|false"}""",
}
BESIDE = {
    "show": "The recipe with its defaults, as in [recipe.md](../recipe.md).",
    "schema": "The JSON Schema itself, with or without `--json`.",
    "build": "Of several recipes: a list of these, and of errors.",
    "export": "As of `build`; `verdict` is `unverified`.",
    "convert": "As of `build`; `verdict` is `unverified`.",
    "fetch": "With `--print` the list holds `urls`, `sha384`, `target`, `cached`, `optional` and `command`. "
    'With `--bundle`: `{"bundle": {"path", "sha256", "bytes"}, "files": [...]}`.',
    "verify": "With `--against`: `model` and `against`, and `recipe` if one was given. A stand-in has `stand_in`. "
    "`required` is the smallest limit that would have passed. The same document is report.json of a build.",
    "detect": "Of several pictures, and of a folder: a list of these.",
    "package": "Of several recipes: a list of these.",
    "check": "A stand-in has `stand_in`.",
}

FETCHING, MAKING = (3,), (3, 4)
CODES = {
    "list": (0, 2),
    "show": (0, 2),
    "schema": (0, 2),
    "build": (0, 1, 2, *MAKING, 5),
    "fetch": (0, 2, *FETCHING),
    "export": (0, 2, *MAKING),
    "convert": (0, 2, *MAKING, 5),
    "verify": (0, 1, 2, *MAKING, 5),
    "detect": (0, 2, *MAKING, 5),
    "report": (0, 1, 2, 5),
    "package": (0, 1, 2, 3, 5),
    "check": (0, 1, 2, 3, 5),
    "doctor": (0, 2, 5),
    "toolchain": (0, 2, 5),
    "toolchain list": (0, 2),
    "toolchain add": (0, 2, 5),
    "toolchain remove": (0, 2, 5),
    "toolchain check": (0, 2, 5),
    "cache": (0, 2, 3),
    "cache list": (0, 2),
    "cache verify": (0, 2, 3),
    "cache prune": (0, 2, 3),
}
