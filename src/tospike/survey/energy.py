"""Energy per inference of a published chip, under one stated definition.

The literature prints "energy per inference" for at least four different things, and a pipelined or
always-on chip gives another number under each. So every definition has a name, and a chip for
which it cannot be computed gives no number but the reason. There is no "best available".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tospike.errors import unknown_name
from tospike.survey.quantity import NOT_OF_AN_INFERENCE, Quantity
from tospike.survey.record import Accelerator


@dataclass(frozen=True, slots=True)
class InferenceEnergy:
    """Energy of one inference in joule, or None with the ``reason``.

    ``qualifiers``: of the numbers it is made of ("upper bound", "wall", ...). ``verified``: False
    if the entry or one of these numbers is recalled. ``rests_on``: their text.
    """

    value: float | None
    reason: str = ""
    qualifiers: tuple[str, ...] = ()
    verified: bool = True
    rests_on: str = ""


@dataclass(frozen=True, slots=True)
class Definition:
    """One definition: its formula for people, in ``short`` for a column, and its meaning."""

    key: str
    title: str
    short: str
    meaning: str
    compute: Callable[[Accelerator], InferenceEnergy]


def _missing(key: str, quantity: Quantity | None) -> str:
    """Why a quantity cannot stand for one inference, empty if it can."""
    if quantity is None:
        return f"no {key} is printed"
    if quantity.value is None:
        return f"the {key} is printed as a range over operating points"
    bad = [mark for mark in quantity.qualifiers if mark in NOT_OF_AN_INFERENCE]
    if bad:
        return f"the printed {key} is qualified as {bad[0]}"
    if quantity.per not in ("inference", "batch"):
        return f"the printed {key} is that of one {quantity.per}"
    return ""


def _product(
    chip: Accelerator, other: str, formula: Callable[[float, float], float]
) -> InferenceEnergy:
    """``formula(power, other)``, with the qualifiers of both."""
    power, second = chip.quantities.get("power"), chip.quantities.get(other)
    reasons = [_missing("power", power), _missing(other, second)]
    if power is None or second is None or power.value is None or second.value is None:
        return InferenceEnergy(None, "; ".join(filter(None, reasons)))
    if any(reasons):
        return InferenceEnergy(None, "; ".join(filter(None, reasons)))
    value = formula(power.value, second.value)
    rests_on = f"{power.text}, {second.text}"
    if second.per == "batch" and chip.batch is not None:
        value /= chip.batch
        rests_on += f" for a batch of {chip.batch}"
    return InferenceEnergy(
        value,
        qualifiers=tuple(dict.fromkeys((*power.qualifiers, *second.qualifiers))),
        verified=chip.verified("power", other),
        rests_on=rests_on,
    )


def _power_times_latency(chip: Accelerator) -> InferenceEnergy:
    return _product(chip, "latency", lambda power, latency: power * latency)


def _power_over_throughput(chip: Accelerator) -> InferenceEnergy:
    return _product(chip, "throughput", lambda power, rate: power / rate)


def _frame_period(chip: Accelerator) -> InferenceEnergy:
    period = chip.quantities.get("period")
    if period is not None and "implied" in period.qualifiers:
        # power x (energy / power) would print the energy a second time
        return InferenceEnergy(None, "the period is not printed; it follows from the energy")
    return _product(chip, "period", lambda power, period: power * period)


def _printed(chip: Accelerator) -> InferenceEnergy:
    energy = chip.quantities.get("energy")
    per_joule = chip.quantities.get("inference_efficiency")
    if energy is None and per_joule is not None and per_joule.value is not None:
        return InferenceEnergy(
            1 / per_joule.value,
            qualifiers=per_joule.qualifiers,
            verified=chip.verified("inference_efficiency"),
            rests_on=per_joule.text,
        )
    reason = _missing("energy", energy)
    if energy is not None and energy.derived_by in DEFINITIONS:
        reason = (
            "the energy is not printed; the survey table derived it by "
            f"{DEFINITIONS[energy.derived_by].title}"
        )
    if energy is None or reason:
        return InferenceEnergy(None, reason)
    return InferenceEnergy(
        energy.value,
        qualifiers=energy.qualifiers,
        verified=chip.verified("energy"),
        rests_on=energy.text,
    )


#: name -> definition of the energy of one inference
DEFINITIONS: dict[str, Definition] = {
    definition.key: definition
    for definition in (
        Definition(
            "printed",
            "as printed",
            "printed",
            "the energy, or the inferences per joule, that the source prints; which of the other "
            "definitions its authors used differs from chip to chip",
            _printed,
        ),
        Definition(
            "power_times_latency",
            "power x latency",
            "P x t",
            "mean power times the time from input to output of one inference; counts the same "
            "joule more than once on a pipelined chip",
            _power_times_latency,
        ),
        Definition(
            "power_over_throughput",
            "power / throughput",
            "P / rate",
            "mean power over inferences per second at full load",
            _power_over_throughput,
        ),
        Definition(
            "frame_period",
            "power x frame period",
            "P x frame",
            "mean power times the time between two inputs of an always-on chip, idle time included",
            _frame_period,
        ),
    )
}


def energy_per_inference(chip: Accelerator, definition: str) -> InferenceEnergy:
    """Energy of one inference in joule under one of :data:`DEFINITIONS`, or None with the reason.

    A network of the user's own (``evidence == "modelled"``) that states its energy keeps it under
    every definition. Raises :class:`UnknownNameError` for a definition that is not in the table.
    """
    if definition not in DEFINITIONS:
        raise unknown_name("definition of energy per inference", definition, tuple(DEFINITIONS))
    energy = chip.quantities.get("energy")
    if chip.evidence == "modelled" and energy is not None:
        return InferenceEnergy(energy.value, verified=False, rests_on=f"modelled: {energy.text}")
    return DEFINITIONS[definition].compute(chip)
