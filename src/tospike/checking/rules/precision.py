"""A wide ANN beside a narrow SNN: fp32 against int8."""

from __future__ import annotations

from tospike.checking.facts import FLOAT, INTEGER, Facts, operation_energy
from tospike.checking.formulas import recognise_ann, recognise_snn
from tospike.checking.record import Outcome, Severity, finding, not_checked, passed
from tospike.checking.rules.constants import usual
from tospike.checking.rules.rule import Rule, mj

_FIX = "quantise the baseline to the width of the SNN, or price both with one width"


def check(facts: Facts) -> Outcome:
    """Stated widths; else the widths that the constants stand for."""
    form = facts.claim.form
    ann, snn = form.ann.weight_bits, form.snn.weight_bits
    if ann is None or snn is None:
        return _from_constants(facts)
    if ann == snn:
        return passed(f"both networks have {ann}-bit weights")
    text = f"The ANN has {ann}-bit weights, the SNN {snn}-bit ones."
    if ann < snn:
        return finding("note", text + " The comparison favours the ANN.", fix=_FIX)
    return _judge(facts, text, ann, snn)


def _table(bits: int) -> str:
    return FLOAT if bits >= 32 else INTEGER


def _judge(facts: Facts, text: str, ann: int, snn: int) -> Outcome:
    wide = operation_energy(_table(ann), "mac", ann)
    narrow = operation_energy(_table(snn), "mac", snn)
    severity: Severity = "error" if ann >= 2 * snn else "warning"
    energy = facts.claim.ann_energy
    text += (
        f" A MAC of {snn} bit costs {narrow * 1e12:.3g} pJ and not {wide * 1e12:.3g} pJ "
        "(Horowitz 2014)"
    )
    if energy is None:
        return finding(severity, text + ".", fix=_FIX)
    right = energy.value * narrow / wide
    text += f": the ANN at {snn} bit needs about {mj(right)} instead of {energy.text}"
    if facts.claimed_ratio is not None:
        text += f", ANN / SNN {facts.claimed_ratio * narrow / wide:.3g}"
    return finding(
        severity, text + ".", fix=_FIX, corrected=right,
        quantity=f"ANN energy per inference at {snn} bit", unit="J",
    )  # fmt: skip


def _from_constants(facts: Facts) -> Outcome:
    needs = "ann.weight_bits and snn.weight_bits"
    if facts.stated:
        mac, ac = _format("mac", facts.mac), _format("ac", facts.ac)
    elif recognise_ann(facts) and recognise_snn(facts):
        mac = ac = "float32"
    else:
        return not_checked(needs + ", or both constants")
    if not mac or not ac:
        return not_checked(needs + ": the stated constants stand for no known width")
    if mac == ac:
        return passed(f"both constants are those of {mac}")
    wide, narrow = (int(name.removeprefix("float").removeprefix("int")) for name in (mac, ac))
    text = (
        f"{facts.mac * 1e12:.4g} pJ is a MAC in {mac}, {facts.ac * 1e12:.4g} pJ an AC in {ac}: "
        "the two networks are priced at different widths."
    )
    if wide > narrow:
        return _judge(facts, text, wide, narrow)
    return finding("warning", text, fix=_FIX)


def _format(action: str, energy: float) -> str:
    names = [name for name, value in usual(action, None).items() if abs(energy / value - 1) < 0.02]
    return names[0] if names else ""


RULE = Rule(
    "precision",
    "Wide ANN against narrow SNN (fp32 against int8)",
    ("yan_2026", "horowitz_2014"),
    "Yan 2026: baseline is a quantised ANN of equal capacity",
    check,
)
