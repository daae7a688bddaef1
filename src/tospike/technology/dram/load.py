"""Read DRAM devices: ``devices`` and ``load_device``. One error lists every fault of a file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tospike.errors import ConstantError, TechnologyError, unknown_name
from tospike.sources import SOURCES
from tospike.technology.dram.record import DramDevice, Rail, Timings
from tospike.units import parse_quantity
from tospike.yaml_files import Form, read_model

if TYPE_CHECKING:
    from tospike.technology.dram.schema import DeviceModel

_DATA = Path(__file__).parent / "data"


def devices() -> tuple[str, ...]:
    """Names of the DRAM devices that come with the package, sorted."""
    return tuple(sorted(path.stem for path in _DATA.glob("*.yaml")))


@cache
def load_device(name_or_path: str | Path) -> DramDevice:
    """The device of a name in :func:`devices`, or of a YAML file of the same form.

    Raises :class:`UnknownNameError` for an unknown name, and :class:`TechnologyError` for a
    missing or malformed file: keys, units, and the laws between the timings.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith((".yaml", ".yml")):
        return _read(Path(name_or_path))
    if text not in devices():
        raise unknown_name("DRAM device", text, devices(), where="or a path that ends in .yaml")
    return _read(_DATA / f"{text}.yaml")


def _read(path: Path) -> DramDevice:
    from tospike.technology.dram.schema import DeviceModel

    asked = f"load the DRAM device {path.name!r}"
    form = Form(
        TechnologyError,
        existing=f"an existing YAML file, or one of: {', '.join(devices())}",
        allowed="a YAML mapping of the form of the packaged devices",
        start="start from one of the files that come with the package",
    )
    model = read_model(DeviceModel, path, asked, form)
    reasons = _faults(model)
    if reasons:
        raise TechnologyError(asked, where=str(path), reasons=reasons)
    return _device(model)


def _faults(model: DeviceModel) -> list[str]:
    """Laws between the numbers of one device."""
    t = model.timings
    laws = {
        f"source {model.source!r} is not in the bibliography": model.source in SOURCES,
        "tRC is below tRAS + tRP - 1 (rounding)": t.tRC >= t.tRAS + t.tRP - 1,
        "tRAS is below tRCD": t.tRAS >= t.tRCD,
        "tRPab is below tRP": t.tRPab >= t.tRP,
        "tRRD_L is below tRRD_S": t.tRRD_L >= t.tRRD_S,
        "tCCD_L is below tCCD_S": t.tCCD_L >= t.tCCD_S,
        "tWTR_L is below tWTR_S": t.tWTR_L >= t.tWTR_S,
        "tCCD_S is shorter than a burst": t.tCCD_S >= model.burst_length // 2,
        "tFAW is below tRRD_S": t.tFAW >= t.tRRD_S,
        "tREFI is not above tRFC": t.tREFI > t.tRFC,
        "banks is not a multiple of bank_groups": model.banks % model.bank_groups == 0,
        "columns is not a multiple of burst_length": model.columns % model.burst_length == 0,
        "a standby current is above its active one": all(
            rail.IDD2N <= rail.IDD3N for rail in model.rails
        ),
    }
    reasons = [text for text, holds in laws.items() if not holds]
    for name, text, dimension in (
        ("clock", model.clock, "frequency"),
        *((f"rails.{n}.supply", rail.supply, "voltage") for n, rail in enumerate(model.rails)),
    ):
        try:
            positive = parse_quantity(text, dimension) > 0
        except ConstantError as error:
            reasons.append(f"{name}: {error.received or error}")
            continue
        if not positive:
            reasons.append(f"{name} is {text!r}; more than 0 is needed")
    return reasons


def _device(model: DeviceModel) -> DramDevice:
    return DramDevice(
        name=model.name,
        family=model.family,
        source=model.source,
        locator=model.locator,
        clock=parse_quantity(model.clock, "frequency"),
        width_bits=model.width_bits,
        burst_length=model.burst_length,
        bank_groups=model.bank_groups,
        banks=model.banks,
        rows=model.rows,
        columns=model.columns,
        timings=Timings(**model.timings.model_dump()),
        rails=tuple(
            Rail(
                supply=parse_quantity(rail.supply, "voltage"),
                idd0=rail.IDD0 * 1e-3,
                idd2n=rail.IDD2N * 1e-3,
                idd3n=rail.IDD3N * 1e-3,
                idd4r=rail.IDD4R * 1e-3,
                idd4w=rail.IDD4W * 1e-3,
                idd5=rail.IDD5 * 1e-3,
            )
            for rail in model.rails
        ),
    )
