"""The failures that a user is expected to meet, each with the exit code that pipelines rely on.

Anything else that escapes is a bug in ssdconvert and exits with 70.
"""

from typing import ClassVar


def error_document(stage: str, message: str, hint: str, exit_code: int) -> dict[str, object]:
    """Return a failure as --json tells it."""
    return {"error": {"stage": stage, "message": message, "hint": hint, "exit_code": exit_code}}


class SsdconvertError(Exception):
    """An expected failure: what went wrong, at which stage, and what to do about it.

    `message` names the file, what was expected and what was found; `hint` is an instruction.
    """

    exit_code: ClassVar[int] = 70
    default_stage: ClassVar[str] = "ssdconvert"

    def __init__(self, message: str, *, hint: str = "", stage: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.stage = stage or self.default_stage

    def to_json(self) -> dict[str, object]:
        """Return the document that takes the result's place with --json."""
        return error_document(self.stage, self.message, self.hint, self.exit_code)


class WrongModel(SsdconvertError):
    """The model is wrong, or could not be shown to be right."""

    exit_code = 1
    default_stage = "verify"


class RecipeError(SsdconvertError):
    """The command line or a recipe cannot be understood."""

    exit_code = 2
    default_stage = "recipe"


class FetchError(SsdconvertError):
    """A file could not be had, or is not the file that the recipe names."""

    exit_code = 3
    default_stage = "fetch"


class ConversionError(SsdconvertError):
    """A checkpoint could not be loaded, or a model not exported or converted."""

    exit_code = 4
    default_stage = "convert"


class EngineFailure(ConversionError):
    """An engine in a process of its own crashed, hung or answered nonsense: that says nothing of the model."""


class MissingDevice(SsdconvertError):
    """A device, a toolchain or a library that was asked for is not on this machine."""

    exit_code = 5
    default_stage = "device"
