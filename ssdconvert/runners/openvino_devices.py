"""Asks OpenVINO about devices: whether they are there, what they were told, what really ran, and in which type."""

from collections.abc import Iterator, Mapping
from typing import Any

from ssdconvert.devices import WHAT_IT_NEEDS, device_name, kind_of
from ssdconvert.errors import MissingDevice, RecipeError
from ssdconvert.runners.openvino_core import first_line, operation_set

PRECISION = "INFERENCE_PRECISION_HINT"
TYPES = (
    "f32",
    "f16",
    "bf16",
    "i8",
    "undefined",
    "dynamic",
)  # what it takes, and takes any other text for undefined
SECTIONS = "DEVICE_PROPERTIES"  # settings by device, for those that share work
# AUTO starts on the CPU until its device is ready, and goes back there when that fails: neither would be seen
STAY = {"ENABLE_STARTUP_FALLBACK": "NO", "ENABLE_RUNTIME_FALLBACK": "NO"}


def refuse_absent(core: Any, device: str) -> None:
    """Raise MissingDevice, with OpenVINO's reason, unless a device or each that shares its work is there."""
    for name in device_name(device).names:
        if not any(name in (found, kind_of(found)) for found in core.available_devices):
            _refuse_unless_it_compiles(core, name)


def _refuse_unless_it_compiles(core: Any, name: str) -> None:
    """Raise MissingDevice with what OpenVINO says of a device that it does not list; NPU.3720 it takes unlisted."""
    import openvino

    operations = operation_set()
    number = operations.parameter([1], openvino.Type.f32)
    model = openvino.Model([operations.result(operations.relu(number))], [number], "nothing")
    try:
        core.compile_model(model, name)
    except RuntimeError as error:
        here = f"devices here: {', '.join(core.available_devices)}; see `ssdconvert doctor`"
        raise MissingDevice(
            f"OpenVINO finds no device {name} on this machine: {first_line(error)}",
            hint=WHAT_IT_NEEDS.get(kind_of(name), here),
        ) from error


def refuse_fallback(device: str, executed: str) -> None:
    """Raise MissingDevice where the work that `device` names was left to another.

    AUTO and HETERO have to run on the first that they name, whatever they do on the others, and MULTI on
    all; AUTO alone may run anywhere. `executed` is what `executed_on` returned.
    """
    name = device_name(device)
    ran = [one.strip(" ()") for one in executed.split(",")]
    wanted = name.names if name.sharing == "MULTI" else name.names[:1]
    missed = [one for one in wanted if not any(_is(one, told) for told in ran)]
    if missed:
        raise MissingDevice(
            f"{device} fell back: it ran on {', '.join(ran)} alone, which is no result of {', '.join(missed)}",
            hint=WHAT_IT_NEEDS.get(kind_of(missed[0]), "give the device that is meant alone"),
        )


def _is(name: str, told: str) -> bool:
    """Whether OpenVINO tells of a device: of several as GPU.0, of one also as GPU."""
    return told in (name, name.removesuffix(".0")) or kind_of(told) == name


def pinned(core: Any, device: str) -> dict[str, Any]:
    """Return the settings that fix the type in which a device computes: f32, and f16 where it has no other."""
    name = device_name(device)
    types = {part: _type_of(core, part) for part in name.names or core.available_devices}
    stay: dict[str, Any] = dict(STAY) if name.sharing == "AUTO" else {}
    if len(set(types.values())) == 1:
        return stay | {PRECISION: next(iter(types.values()))}
    return stay | {SECTIONS: {part: {PRECISION: kind} for part, kind in types.items()}}


def _type_of(core: Any, device: str) -> str:
    try:
        capabilities = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
    except RuntimeError:
        return "f32"
    return "f16" if "FP16" in capabilities and "FP32" not in capabilities else "f32"


def refuse_settings(core: Any, device: str, settings: Mapping[str, str]) -> None:
    """Raise RecipeError, which names the key, for a setting that a device refuses; MissingDevice without it.

    Of devices that share work one has to take it, or the sharing itself: AUTO leaves unknown ones out unseen.
    """
    refuse_absent(core, device)
    name = device_name(device)
    targets = [*name.names, *([name.sharing] if name.sharing else [])]
    if not name.names:
        targets = [*core.available_devices, name.sharing]
    for key, value in settings.items():
        refusals = list(_refusals(core, targets, key, value))
        if len(refusals) == len(targets):
            raise RecipeError(
                f"{device} refuses {key} = {value}: {first_line(refusals[0])}",
                hint=f"{device} takes {', '.join(_settable(core, targets))}",
                stage="device",
            ) from refusals[0]


def _refusals(core: Any, targets: list[str], key: str, value: str) -> Iterator[Exception]:
    for target in targets:
        try:
            if key == PRECISION and value not in TYPES:
                raise TypeError(f"expected one of {', '.join(TYPES)}")
            core.set_property(target, {key: value})
        except (RuntimeError, TypeError) as error:
            yield error


def _settable(core: Any, targets: list[str]) -> list[str]:
    known = (core.get_property(target, "SUPPORTED_PROPERTIES").items() for target in targets)
    return sorted({name for properties in known for name, access in properties if access == "RW"})


def property_of(compiled_model: Any, name: str, otherwise: Any) -> Any:
    """Return what a compiled model says of itself; AUTO and MULTI do not answer everything."""
    try:
        return compiled_model.get_property(name)
    except RuntimeError:
        return otherwise


def executed_on(compiled_model: Any, device: str) -> str:
    """Return the devices that really run, for a model compiled for `device`."""
    return ", ".join(property_of(compiled_model, "EXECUTION_DEVICES", [device]))


def precision_of(compiled_model: Any) -> str:
    """Return the type in which a compiled model says that it computes, of several devices each; or `not told`."""
    told = property_of(compiled_model, PRECISION, None)
    if told is not None:
        return _in_words(told)
    sections: Mapping[str, Mapping[str, Any]] = property_of(compiled_model, SECTIONS, {})
    types = {_in_words(section[PRECISION]) for section in sections.values() if PRECISION in section}
    return ", ".join(sorted(types)) or "not told"


def _in_words(hint: Any) -> str:
    return hint if isinstance(hint, str) else str(hint.get_type_name())
