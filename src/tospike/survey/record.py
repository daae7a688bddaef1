"""``Accelerator``: one published chip at one operating point. A record only.

Inside: joule, watt, second, hertz, volt, square metre; nm for the process; a fraction from 0 to 1
for the accuracy; operations (1 MAC = 2 Op), inferences and synaptic operations per second or joule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tospike.survey.quantity import Quantity


@dataclass(frozen=True, slots=True)
class Also:
    """A further printed number: ``quantity`` names what it is, ``what`` where it belongs."""

    quantity: str
    text: str
    value: float
    what: str
    verified: bool = True


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One chip at one operating point.

    ``kind``: ann, snn, rnn, delta, mixed. ``platform``: asic, fpga, gpu, cpu. ``compute``:
    digital, mixed_signal, in_memory, analog. ``quantities``: what is printed, by the keys of
    :data:`tospike.survey.quantity.QUANTITIES`. ``printed``: wording of the survey table where it
    says more. ``conflict``: quantity -> why printed numbers do not follow from each other.
    ``evidence``: "verified", "unverified" (recalled, or its source could not be checked), or
    "modelled" for a network of the user's own. ``cites``: keys of the bibliography.
    """

    name: str
    point: str
    year: int | None
    venue: str
    kind: str
    platform: str
    device: str
    compute: str
    precision: str
    task: str
    dataset: str
    network: str
    memory: str
    batch: int | None
    quantities: Mapping[str, Quantity]
    source: str
    evidence: str
    confidence: str
    also: tuple[Also, ...] = ()
    printed: Mapping[str, str] = field(default_factory=dict)
    conflict: Mapping[str, str] = field(default_factory=dict)
    cites: tuple[str, ...] = ()
    notes: str = ""

    @property
    def label(self) -> str:
        """Name with the operating point."""
        return f"{self.name} ({self.point})" if self.point else self.name

    def value(self, key: str) -> float | None:
        """The printed number under ``key``, None where there is none or only a range."""
        quantity = self.quantities.get(key)
        return None if quantity is None else quantity.value

    def verified(self, *keys: str) -> bool:
        """True if the entry and each of these quantities are verified."""
        held = [self.quantities[key] for key in keys if key in self.quantities]
        return self.evidence == "verified" and all(quantity.verified for quantity in held)

    @property
    def process_nm(self) -> float | None:
        return self.value("process")

    @property
    def area_m2(self) -> float | None:
        return self.value("area")

    @property
    def supply_v(self) -> float | None:
        return self.value("supply")

    @property
    def clock_hz(self) -> float | None:
        return self.value("clock")

    @property
    def accuracy(self) -> float | None:
        return self.value("accuracy")

    @property
    def error(self) -> float | None:
        """1 - accuracy, as a fraction."""
        # 1 - 0.805 is 0.19499...96 in binary; no source prints more than 12 digits
        return None if self.accuracy is None else round(1.0 - self.accuracy, 12)

    @property
    def throughput_per_s(self) -> float | None:
        """Inferences per second."""
        return self.value("throughput")

    @property
    def op_rate_per_s(self) -> float | None:
        return self.value("op_rate")

    @property
    def power_w(self) -> float | None:
        return self.value("power")

    @property
    def latency_s(self) -> float | None:
        """Of one inference; None where the printed one belongs to something else."""
        quantity = self.quantities.get("latency")
        return quantity.value if quantity is not None and quantity.per == "inference" else None

    @property
    def initiation_interval(self) -> float | None:
        """Clock cycles between two inferences: clock / throughput (Ottati 2023, section IV-B)."""
        if self.clock_hz is None or self.throughput_per_s is None:
            return None
        return self.clock_hz / self.throughput_per_s
