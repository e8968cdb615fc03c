"""Reads the pickles inside a PyTorch checkpoint without running what they say.

A pickle is a program: it names functions and calls them. This module interprets the opcodes itself
(`pickletools` decodes them; neither `pickle` nor `torch` takes part), so nothing is imported and no
call goes to anything but the few functions of `allowed_globals`. Memory and time are linear in the
size of the pickle. The opcodes are those of protocols 2 to 4 that torch.save writes.
"""

import io
import pickletools
from collections.abc import Callable, Sequence
from typing import Any

from ssdconvert.checkpoint.allowed_globals import (
    STORAGE_DTYPES,
    Global,
    Inert,
    RefusedError,
    Storage,
    look_up,
)

LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
EMPTY: dict[str, Callable[[], object]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
MALFORMED = (LookupError, ValueError, TypeError, AttributeError, OverflowError, MemoryError)


class Machine:
    """The stack machine of one pickle; `storages` collects by key what its tensors refer to."""

    def __init__(self, limit: int) -> None:
        self.storages: dict[str, Storage] = {}
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stacks below each MARK
        self.memo: dict[int, Any] = {}
        self.copies_left = limit  # items that may still be copied out of a list: linear in the file's size

    def run(self, stream: io.BytesIO) -> Any:
        """Interpret one pickle and leave `stream` after it."""
        for opcode, argument, _ in pickletools.genops(stream):
            self.step(opcode.name, argument)
        return self.stack.pop()

    def step(self, opcode: str, argument: Any) -> None:
        """Interpret one opcode: values and containers here, the rest in `step_object`."""
        if opcode in LITERALS:
            self.stack.append(argument)
        elif opcode in CONSTANTS:
            self.stack.append(CONSTANTS[opcode])
        elif opcode in EMPTY:
            self.stack.append(EMPTY[opcode]())
        elif opcode in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if opcode == "MEMOIZE" else argument] = self.stack[-1]
        elif opcode in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif opcode == "MARK":
            self.below.append(self.stack)
            self.stack = []
        elif opcode in TUPLES:
            items = [self.stack.pop() for _ in range(TUPLES[opcode])]
            self.stack.append(tuple(reversed(items)))
        elif opcode in ("TUPLE", "LIST"):
            items = self.pop_to_mark()
            self.stack.append(tuple(items) if opcode == "TUPLE" else items)
        elif opcode in ("APPEND", "APPENDS", "ADDITEMS"):
            items = [self.stack.pop()] if opcode == "APPEND" else self.pop_to_mark()
            self.extend(self.stack[-1], items)
        elif opcode in ("SETITEM", "SETITEMS", "DICT"):
            items = [self.stack.pop(-2), self.stack.pop()] if opcode == "SETITEM" else self.pop_to_mark()
            if opcode == "DICT":
                self.stack.append({})
            self.set_items(self.stack[-1], list(zip(items[::2], items[1::2], strict=True)))
        elif opcode not in ("PROTO", "FRAME", "STOP"):
            self.step_object(opcode, argument)

    def step_object(self, opcode: str, argument: Any) -> None:
        """Interpret an opcode that names, calls or changes an object."""
        if opcode == "GLOBAL":
            self.stack.append(self.find(*argument.split(" ", 1)))
        elif opcode == "STACK_GLOBAL":
            name, module = self.stack.pop(), self.stack.pop()
            self.stack.append(self.find(module, name))
        elif opcode == "BINPERSID":
            self.stack.append(self.persistent(self.stack.pop()))
        elif opcode in ("REDUCE", "NEWOBJ"):
            arguments, function = self.stack.pop(), self.stack.pop()
            if type(function) is not Global or type(arguments) is not tuple:
                raise RefusedError("the checkpoint calls something that is no named class or function")
            self.stack.append(function.build(*arguments) if function.build else Inert(function))
        elif opcode == "BUILD":
            state, target = self.stack.pop(), self.stack[-1]
            if type(target) is Inert:
                target.state = state
            elif type(target) is not dict:  # an OrderedDict's attributes (_metadata) are not needed
                raise RefusedError(f"the checkpoint sets the state of a {type(target).__name__}")
        elif opcode == "POP":
            self.stack.pop()
        else:
            shown = f" ({str(argument)[:80]!a})" if argument is not None else ""
            raise RefusedError(f"the pickle uses opcode {opcode}{shown}, which torch.save never writes")

    def pop_to_mark(self) -> list[Any]:
        """Return everything above the topmost MARK."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def extend(self, target: Any, items: list[Any]) -> None:
        """Add items to a list, or names to a set; a set's other members are dropped (see `set_items`)."""
        if type(target) is list:
            target.extend(items)
        elif type(target) is set:
            target.update(item for item in items if type(item) is str)
        elif type(target) is not Inert:
            raise RefusedError(f"the checkpoint appends to a {type(target).__name__}")

    def set_items(self, target: Any, pairs: Sequence[Any]) -> None:
        """Set a dictionary's items.

        Keys other than strings are dropped: no tensor has one, and hashing nested tuples can take for ever.
        """
        if type(target) is dict:
            target.update((key, value) for key, value in pairs if type(key) is str)
        elif type(target) is not Inert:
            raise RefusedError(f"the checkpoint sets items of a {type(target).__name__}")

    def find(self, module: Any, name: Any) -> Global:
        """Look up a global; those that build containers need the machine."""
        if type(module) is not str or type(name) is not str:
            raise RefusedError("the pickle names a global by something that is no text")
        if (module, name) == ("collections", "OrderedDict"):
            return Global(module, name, self.build_dict)
        if (module, name) in (("builtins", "set"), ("__builtin__", "set")):
            return Global(module, name, self.build_set)
        return look_up(module, name)

    def build_dict(self, pairs: Any = ()) -> dict[Any, Any]:
        """Stand for OrderedDict(); Python 2 passes a list of pairs."""
        built: dict[Any, Any] = {}
        self.set_items(built, self.copied(pairs))
        return built

    def build_set(self, items: Any = ()) -> set[str]:
        """Stand for set(items)."""
        built: set[str] = set()
        self.extend(built, self.copied(items))
        return built

    def copied(self, items: Any) -> list[Any]:
        """Return a list's items, as long as all copies together stay within the file's size."""
        if type(items) not in (list, tuple) or len(items) > self.copies_left:
            raise RefusedError("a dictionary or set is built from something unusual, or from too many items")
        self.copies_left -= len(items)
        return list(items)

    def persistent(self, identity: Any) -> Any:
        """Resolve ('module', class, file, source) and ('storage', class, key, location, numel[, view])."""
        if type(identity) is tuple and len(identity) == 4 and identity[0] == "module":
            if type(identity[1]) is Global:
                return identity[1]
        elif type(identity) is tuple and len(identity) in (5, 6) and identity[0] == "storage":
            return self.storage(*identity[1:5], *identity[5:])
        raise RefusedError("the pickle refers to something that is neither a storage nor a module")

    def storage(self, cls: Any, key: Any, location: Any, numel: Any, view: Any = None) -> Storage:
        """Return the storage of that key; every reference must describe it alike."""
        if type(cls) is not Global or cls.module != "torch" or cls.name not in STORAGE_DTYPES:
            raise RefusedError("a storage has a type that is not supported")
        if type(key) is not str or type(location) is not str or type(numel) is not int:
            raise RefusedError("a storage's key, location or size is malformed")
        if not 0 <= numel < 2**60:
            raise RefusedError("a storage claims an impossible number of values")
        if view is not None:
            raise RefusedError("a storage is a view of another one, as only torch before 0.4 wrote")
        storage = self.storages.setdefault(key, Storage(key, cls.name, numel, location))
        if (storage.kind, storage.numel) != (cls.name, numel):
            raise RefusedError(f"storage {key[:40]!a} is described in two different ways")
        return storage


def load_pickle(stream: io.BytesIO, what: str) -> tuple[Any, dict[str, Storage]]:
    """Return the object of the pickle at the stream's position, and the storages that it refers to.

    `stream` is left after the pickle. `what` names the pickle in messages. RefusedError if it is
    malformed or names what it must not.
    """
    start = stream.tell()
    size = stream.seek(0, io.SEEK_END)  # stream.getbuffer() would copy it
    stream.seek(start)
    machine = Machine(size)
    try:
        return machine.run(stream), machine.storages
    except MALFORMED as error:
        raise RefusedError(
            f"{what}, a pickle at byte {start} of {size}, cannot be read at byte {stream.tell()}: {error}",
            "the file is damaged, truncated, or no PyTorch checkpoint: fetch it again and compare its size",
        ) from error
