"""Records of the checker: ``Claim``, ``Outcome``, ``ModelResult``, ``Report``. They do nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tospike.checking.quantity import Printed
from tospike.checking.schema import ClaimModel

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
State = Literal["finding", "not_checked", "passed"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim file with its quantities in SI. ``form`` keeps everything that is no quantity.

    Energies in joule, counts as numbers, capacities in byte, powers in watt, times in second.
    None: the paper does not say.
    """

    name: str
    form: ClaimModel
    ann_energy: Printed | None = None
    snn_energy: Printed | None = None
    ratio: Printed | None = None
    ann_operations: Printed | None = None
    snn_operations: Printed | None = None
    ann_macs: Printed | None = None
    mac: Printed | None = None
    ac: Printed | None = None
    memory_capacity: Printed | None = None
    memory_access: Printed | None = None
    static_power: Printed | None = None
    inference_time: Printed | None = None
    macs: Printed | None = None
    first_layer_macs: Printed | None = None
    neurons: Printed | None = None
    parameters: Printed | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one rule says about one claim.

    Attributes
    ----------
    rule : key of the rule (set by :func:`tospike.checking.check`).
    state : "finding", "not_checked" (``text`` then says what is missing) or "passed".
    severity : of a finding; None otherwise.
    text : one sentence; for a finding with the arithmetic.
    corrected : corrected number in SI, where it can be computed; ``quantity`` says of what
        ("SNN energy per inference"), ``unit`` its SI unit.
    fix : what the authors could write instead.
    """

    state: State
    text: str
    severity: Severity | None = None
    corrected: float | None = None
    quantity: str = ""
    unit: str = ""
    fix: str = ""
    rule: str = ""


def finding(
    severity: Severity,
    text: str,
    *,
    fix: str,
    corrected: float | None = None,
    quantity: str = "",
    unit: str = "",
) -> Outcome:
    """A finding of a rule."""
    return Outcome("finding", text, severity, corrected, quantity, unit, fix)


def not_checked(needs: str) -> Outcome:
    """The rule lacks inputs: "needs X"."""
    return Outcome("not_checked", f"needs {needs}")


def passed(text: str) -> Outcome:
    """The rule had its inputs and found nothing."""
    return Outcome("passed", text)


@dataclass(frozen=True, slots=True)
class ModelResult:
    """The claim under one published model: energies in joule per inference.

    ``reason`` says why a model could not be computed; the energies are then None.
    """

    key: str
    title: str
    ann: float | None
    snn: float | None
    counts_memory: bool
    leaves_out: str = ""
    reason: str = ""
    sources: tuple[str, ...] = ()

    @property
    def ratio(self) -> float | None:
        """ANN energy / SNN energy: above 1 the SNN needs less."""
        return self.ann / self.snn if self.ann is not None and self.snn else None


@dataclass(frozen=True, slots=True)
class Own:
    """One printed number beside the claim's own formula."""

    quantity: str
    unit: str
    printed: float | None
    recomputed: float | None
    arithmetic: str

    @property
    def deviation(self) -> float | None:
        """(printed - recomputed) / recomputed."""
        if self.printed is None or not self.recomputed:
            return None
        return self.printed / self.recomputed - 1


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found about one claim."""

    claim: Claim
    outcomes: tuple[Outcome, ...]
    models: tuple[ModelResult, ...]
    own: tuple[Own, ...]
    assumptions: tuple[str, ...] = field(default=())

    @property
    def findings(self) -> tuple[Outcome, ...]:
        """Findings, errors first."""
        found = [outcome for outcome in self.outcomes if outcome.state == "finding"]
        return tuple(sorted(found, key=lambda item: SEVERITIES.index(item.severity or "note")))

    @property
    def not_checked(self) -> tuple[Outcome, ...]:
        """Rules that lacked their inputs."""
        return tuple(item for item in self.outcomes if item.state == "not_checked")

    def count(self, severity: Severity) -> int:
        """Findings of one severity."""
        return sum(outcome.severity == severity for outcome in self.findings)

    @property
    def verdict(self) -> str:
        """One line."""
        total = len(self.outcomes)
        open_rules = len(self.not_checked)
        if not self.findings:
            head = "nothing found"
        else:
            numbers = [(self.count(level), level) for level in SEVERITIES]
            head = ", ".join(f"{n} {level}{'s' * (n != 1)}" for n, level in numbers if n)
        checked = total - open_rules
        return f"{head}; {checked} of {total} rules had the inputs they need"
