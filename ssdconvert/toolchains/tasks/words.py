"""What others' messages say."""

from __future__ import annotations

import re


def said(error: Exception) -> str:
    """Return what an exception says, without file and line numbers of C++."""
    lines = [cleaned(line) for line in str(error).splitlines()]
    noise = ("Exception from", "Check '", "[ GENERAL_ERROR")
    telling = [line for line in lines if line and not line.startswith(noise)]
    return "\n".join(telling) or str(error).strip() or type(error).__name__


def cleaned(line: str) -> str:
    """Return a line without the place in C++ that it came from, and without folders of this machine."""
    line = re.sub(r"Cannot load library ['\"]?\S*/([^/'\"\s]+)['\"]?", r"cannot load \1", line)
    return re.sub(r"\S*\.[ch]pp:\d+:? ?", "", line).strip()


def without_frame(message: str) -> str:
    """Return what a message of Model Optimizer says, without its passes' names and its reference to a FAQ."""
    told = message.partition(" For more information")[0].rpartition("Original exception message:")[2]
    return re.sub(r"Exception occurred during running replacer .*?\): ", "", told).strip()
