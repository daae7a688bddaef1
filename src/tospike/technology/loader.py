"""Read technology files: ``load`` and ``names``. One error lists every fault of a file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tospike.actions import ACTIONS
from tospike.constant import Constant
from tospike.errors import ConstantError, TechnologyError, unknown_name
from tospike.sources import SOURCES, Source, register
from tospike.technology.record import PriceKey, Technology
from tospike.units import parse_quantity
from tospike.yaml_files import Form, faults_of, read_mapping

if TYPE_CHECKING:
    from tospike.technology.schema import FileModel, ScalarModel

_DATA = Path(__file__).parent / "data"
_SUFFIXES = (".yaml", ".yml")
#: pint reads a bare "pJ" as one picojoule; a table must print its numbers
_NUMBER = re.compile(r"\s*[+-]?\.?\d")


def names() -> tuple[str, ...]:
    """Names of the technologies that come with the package, sorted."""
    return tuple(sorted(path.stem for path in _DATA.glob("*.yaml")))


def load(name_or_path: str | Path) -> Technology:
    """The technology of a name in :func:`names`, or of a YAML file of the same form.

    Raises :class:`UnknownNameError` for a name that is not in the list, and
    :class:`TechnologyError` for a missing or malformed file, with every fault in it.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(_SUFFIXES):
        return _read(Path(name_or_path))
    if text not in names():
        raise unknown_name("technology", text, names(), where="or a path that ends in .yaml")
    return _packaged(text)


@cache
def _packaged(name: str) -> Technology:
    return _read(_DATA / f"{name}.yaml")


def _read(path: Path) -> Technology:
    asked = f"load the technology file {path.name!r}"
    raw = read_mapping(path, asked, _form())
    from pydantic import ValidationError

    from tospike.technology.schema import FileModel

    try:
        model = FileModel.model_validate(raw)
    except ValidationError as error:
        raise TechnologyError(
            asked,
            received=f"{error.error_count()} fault(s) in its form",
            where=str(path),
            allowed="the form described in docs/technologies.md",
            fix="mend the listed keys",
            reasons=faults_of(error),
        ) from None
    builder = _Builder(path.stem, model)
    technology = builder.build()
    if builder.faults:
        raise TechnologyError(
            asked,
            received=f"{len(builder.faults)} fault(s) in its values",
            where=str(path),
            allowed="finite quantities with units, known actions, known sources, monotone tables",
            fix="mend the listed entries from the source they were taken from",
            reasons=builder.faults,
        )
    return technology


def _form() -> Form:
    return Form(
        TechnologyError,
        existing=f"an existing YAML file, or one of: {', '.join(names())}",
        allowed="a YAML mapping with the keys title, source, groups",
        start="start from one of the files that come with the package",
    )


class _Builder:
    """Turns a checked file into a :class:`Technology`, collecting faults of values."""

    def __init__(self, name: str, model: FileModel) -> None:
        self.name = name
        self.model = model
        self.faults: list[str] = []
        self._register_sources()
        self.mac_joule = self._scalar("mac_energy", model.mac_energy, "energy", "J")
        if model.relative and model.mac_energy is None:
            self.faults.append("mac_energy: a relative file needs the energy of one MAC")

    def build(self) -> Technology:
        model = self.model
        ranges: dict[str, tuple[float, float]] = {}
        energies, drivers = self._groups(ranges)
        self._check_widths(energies)
        curve = self._curve(ranges)
        gated = self._scalar("gated_fraction", model.gated_fraction, "dimensionless", "")
        leakage = self._scalar("leakage", model.leakage, "power", "W")
        for key, constant in (("gated_fraction", gated), ("leakage", leakage)):
            if constant is not None:
                ranges[f"{self.name}:{key}"] = _relative(constant)
        sram = model.sram
        for source in self._range_sources():
            if source not in SOURCES:
                self.faults.append(f"range_sources: {source!r} is not in the bibliography")
        everything = [*energies.values(), *curve.values(), gated, leakage, self.mac_joule]
        return Technology(
            name=self.name,
            title=model.title,
            node_nm=model.node_nm,
            supply_v=self._quantity("supply", model.supply, "voltage") if model.supply else None,
            energies=energies,
            sram_curve=curve,
            sram_curve_bits=sram.access_bits if sram else 64,
            sram_reference_bytes=(
                self._quantity("sram.reference_capacity", sram.reference_capacity, "capacity")
                if sram
                else 8192.0
            ),
            gated_fraction=gated,
            leakage_w=leakage,
            relative=model.relative,
            notes=tuple(model.notes),
            sources=tuple(
                dict.fromkeys(
                    [
                        model.source,
                        *(constant.source for constant in everything if constant is not None),
                        *self._range_sources(),
                    ]
                )
            ),
            mac_joule=self.mac_joule,
            drivers=drivers,
            ranges=ranges,
            sram_driver=f"{self.name}:{sram.driver}" if sram else "",
            sram_rule=sram.rule if sram else "log_log",
        )

    def _groups(
        self, ranges: dict[str, tuple[float, float]]
    ) -> tuple[dict[PriceKey, Constant], dict[tuple[str, str], str]]:
        """Prices and their drivers; fills ``ranges``."""
        energies: dict[PriceKey, Constant] = {}
        drivers: dict[tuple[str, str], str] = {}
        for group in self.model.groups:
            driver = self._driver(group.driver, (group.low, group.high), ranges)
            for index, entry in enumerate(group.entries):
                where = f"groups.{group.driver}.entries.{index}"
                constant = self._energy(
                    where,
                    entry.energy,
                    group.low,
                    group.high,
                    source=entry.source or self.model.source,
                    locator=entry.locator,
                    quoted=entry.quoted,
                    method=entry.method,
                    spread=group.spread,
                    conditions={"bits": entry.bits},
                )
                for action in entry.actions:
                    self._enter(where, entry.component, action, entry.bits, constant, energies)
                    known = drivers.setdefault((entry.component, action), driver)
                    if known != driver:
                        self.faults.append(
                            f"{where}: {entry.component}.{action} has two drivers, "
                            f"{known!r} and {driver!r}"
                        )
        return energies, drivers

    def _register_sources(self) -> None:
        for key, entry in self.model.bibliography.items():
            try:
                register(Source(key=key, **entry.model_dump()))
            except ValueError as error:
                self.faults.append(f"bibliography: {error}")

    def _range_sources(self) -> list[str]:
        groups = [*self.model.groups, *([self.model.sram] if self.model.sram else [])]
        return [source for group in groups for source in group.range_sources]

    def _driver(
        self, short: str, limits: tuple[float, float], ranges: dict[str, tuple[float, float]]
    ) -> str:
        name = f"{self.name}:{short}"
        if ranges.setdefault(name, limits) != limits:
            self.faults.append(f"driver {short!r} is given two ranges")
        return name

    def _quantity(self, where: str, text: str, dimension: str) -> float:
        """SI value; 1.0 with a recorded fault where the text is no positive quantity."""
        if not _NUMBER.match(text):
            self.faults.append(f"{where}: {text!r} does not start with a number")
            return 1.0
        try:
            bare = dimension == "dimensionless"
            value = float(text) if bare else parse_quantity(text, dimension)
        except (ConstantError, ValueError) as error:
            self.faults.append(f"{where}: {str(error).splitlines()[0]}")
            return 1.0
        if not (math.isfinite(value) and value > 0):
            self.faults.append(f"{where}: {text!r} is not a finite number above 0")
            return 1.0
        return value

    def _energy(
        self, where: str, text: str, low: float, high: float, **provenance: Any
    ) -> Constant | None:
        if self.model.relative:
            one = self.mac_joule.value if self.mac_joule else 1.0
            value = self._quantity(where, text, "dimensionless") * one
        else:
            value = self._quantity(where, text, "energy")
        return self._constant(where, value, "J", low, high, **provenance)

    def _constant(
        self, where: str, value: float, unit: str, low: float, high: float, **provenance: Any
    ) -> Constant | None:
        conditions = dict(provenance.pop("conditions", {}))
        if self.model.node_nm is not None:
            conditions["node_nm"] = self.model.node_nm
        try:
            return Constant(
                value=value,
                unit=unit,
                low=value * low,
                high=value * high,
                conditions=conditions,
                **provenance,
            )
        except ConstantError as error:
            self.faults.extend(f"{where}: {reason}" for reason in error.reasons)
            return None

    def _scalar(
        self, where: str, model: ScalarModel | None, dimension: str, unit: str
    ) -> Constant | None:
        if model is None:
            return None
        return self._constant(
            where,
            self._quantity(where, model.value, dimension),
            unit,
            model.low,
            model.high,
            source=model.source or self.model.source,
            locator=model.locator,
            quoted=model.quoted,
            method=model.method,
            spread=model.spread,
        )

    def _enter(
        self,
        where: str,
        component: str,
        action: str,
        bits: int,
        constant: Constant | None,
        energies: dict[PriceKey, Constant],
    ) -> None:
        if action not in ACTIONS.get(component, ()):
            self.faults.append(f"{where}: there is no action {component}.{action}")
        elif action.endswith("_gated"):
            self.faults.append(f"{where}: price gated actions with gated_fraction")
        elif (component, action, bits) in energies:
            self.faults.append(f"{where}: {component}.{action} of {bits} bit is given twice")
        elif constant is not None:
            energies[component, action, bits] = constant

    def _check_widths(self, energies: Mapping[PriceKey, Constant]) -> None:
        """A wider operation or access never costs less."""
        table: dict[tuple[str, str], list[tuple[int, float]]] = {}
        for (component, action, bits), constant in energies.items():
            table.setdefault((component, action), []).append((bits, constant.value))
        for (component, action), points in table.items():
            ordered = [energy for _, energy in sorted(points)]
            if ordered != sorted(ordered):
                self.faults.append(f"{component}.{action}: energy falls with the number of bits")

    def _curve(self, ranges: dict[str, tuple[float, float]]) -> dict[float, Constant]:
        sram = self.model.sram
        if sram is None:
            return {}
        self._driver(sram.driver, (sram.low, sram.high), ranges)
        curve: dict[float, Constant] = {}
        for index, point in enumerate(sram.points):
            where = f"sram.points.{index}"
            capacity = self._quantity(f"{where}.capacity", point.capacity, "capacity")
            constant = self._energy(
                where,
                point.energy,
                sram.low,
                sram.high,
                source=point.source or self.model.source,
                locator=point.locator,
                quoted=point.quoted,
                method=point.method,
                spread=sram.spread,
                conditions={"bits": sram.access_bits, "capacity_bytes": capacity},
            )
            if capacity in curve:
                self.faults.append(f"{where}: the capacity {point.capacity} is given twice")
            if constant is not None:
                curve[capacity] = constant
        ordered = [curve[capacity].value for capacity in sorted(curve)]
        if ordered != sorted(ordered):
            self.faults.append("sram.points: energy falls with capacity")
        return dict(sorted(curve.items()))


def _relative(constant: Constant) -> tuple[float, float]:
    return constant.low / constant.value, constant.high / constant.value
