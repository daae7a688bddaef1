"""Read architecture files: ``architectures`` and ``load_architecture``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tospike.architecture.record import Architecture, MemoryLevel
from tospike.constant import Constant
from tospike.errors import ConstantError, TechnologyError, unknown_name
from tospike.units import SI_UNITS, parse_quantity
from tospike.yaml_files import Form, read_model

if TYPE_CHECKING:
    from tospike.architecture.schema import ArchitectureModel, QuantityModel

_DATA = Path(__file__).parent / "data"
_SUFFIXES = (".yaml", ".yml")


def architectures() -> tuple[str, ...]:
    """Names of the architectures that come with the package, sorted."""
    return tuple(sorted(path.stem for path in _DATA.glob("*.yaml")))


def load_architecture(name_or_path: str | Path) -> Architecture:
    """The architecture of a name in :func:`architectures`, or of a YAML file of the same form.

    Raises :class:`UnknownNameError` for an unknown name, and :class:`TechnologyError` for a
    missing or malformed file, with every fault in it.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(_SUFFIXES):
        return _read(Path(name_or_path))
    if text not in architectures():
        raise unknown_name(
            "architecture", text, architectures(), where="or a path that ends in .yaml"
        )
    return _packaged(text)


@cache
def _packaged(name: str) -> Architecture:
    return _read(_DATA / f"{name}.yaml")


def _read(path: Path) -> Architecture:
    from tospike.architecture.schema import ArchitectureModel

    asked = f"load the architecture {path.name!r}"
    form = Form(
        TechnologyError,
        existing=f"an existing YAML file, or one of: {', '.join(architectures())}",
        allowed="a YAML mapping of the form in tospike/architecture/schema.py",
        start="start from one of the files that come with the package",
    )
    return _Builder(read_model(ArchitectureModel, path, asked, form), path).build(asked)


class _Builder:
    """Turns one file into an :class:`Architecture`, and collects its faults."""

    def __init__(self, model: ArchitectureModel, path: Path) -> None:
        self.model = model
        self.path = path
        self.reasons: list[str] = []

    def build(self, asked: str) -> Architecture:
        model = self.model
        clock = self.constant("clock", model.clock, "frequency")
        if clock is not None and clock.value <= 0:
            self.reasons.append(f"clock is {model.clock.value!r}; more than 0 is needed")
        levels = [self.level(n) for n in range(len(model.levels))]
        seen = [level.name for level in model.levels]
        for name in dict.fromkeys(name for name in seen if seen.count(name) > 1):
            self.reasons.append(f"levels: {seen.count(name)} are called {name!r}")
        parameters = {
            name: self.constant(f"parameters.{name}", entry, entry.dimension)
            for name, entry in model.parameters.items()
        }
        if self.reasons or clock is None:
            raise TechnologyError(
                asked, where=str(self.path), fix="mend the listed keys", reasons=self.reasons
            )
        found = {name: constant for name, constant in parameters.items() if constant is not None}
        used = [clock.source, *(constant.source for constant in found.values())]
        return Architecture(
            name=self.path.stem,
            title=model.title,
            machine=model.machine,
            execution=model.execution,
            dataflow=model.dataflow,
            n_pe=model.n_pe,
            clock=clock,
            zero_handling={str(k): v for k, v in model.zero_handling.items()},
            levels=tuple(levels),
            technology=model.technology,
            parameters=found,
            sources=tuple(dict.fromkeys([model.source, *used])),
            notes=tuple(model.notes),
        )

    def level(self, number: int) -> MemoryLevel:
        entry = self.model.levels[number]
        capacity = None
        if entry.capacity is not None:
            capacity = self.constant(f"levels.{number}.capacity", entry.capacity, "capacity")
            if capacity is not None and not capacity.value > 0:
                self.reasons.append(
                    f"levels.{number}.capacity is {entry.capacity.value!r}; more than 0 is needed"
                )
        return MemoryLevel(
            name=entry.name,
            component=entry.component,
            bits=entry.bits,
            capacity=capacity,
            instances=entry.instances,
            device=entry.device,
            chips=entry.chips,
        )

    def constant(self, where: str, entry: QuantityModel, dimension: str) -> Constant | None:
        try:
            if dimension not in SI_UNITS:
                raise ConstantError(
                    f"read {where}", received=dimension, allowed=", ".join(SI_UNITS)
                )
            value = parse_quantity(entry.value, dimension)
            return Constant(
                value=value,
                unit=SI_UNITS[dimension],
                low=value * entry.low,
                high=value * entry.high,
                source=entry.source or self.model.source,
                locator=entry.locator,
                quoted=entry.quoted,
                method=entry.method or self.model.method,
            )
        except ConstantError as error:
            self.reasons.append(f"{where}: {'; '.join(error.reasons) or error.received or error}")
            return None
