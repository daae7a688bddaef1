"""Energies of one operation that are off the usual ones by a factor."""

from __future__ import annotations

from tospike.checking.facts import FLOAT, INTEGER, Facts, near, operation_energy
from tospike.checking.formulas import dense_ann, recognise_ann, recognise_snn
from tospike.checking.record import Outcome, Severity, finding, not_checked, passed
from tospike.checking.rules.rule import Rule, counts_memory, mj

#: factors from which a deviation is reported, and from which it is an error without a source
WARN, ERROR = 1.5, 3.0
_ALL_BITS = {FLOAT: (16, 32), INTEGER: (8, 16, 32)}


def usual(action: str, bits: int | None) -> dict[str, float]:
    """Name -> energy in joule of the usual constants, of all widths or the one given."""
    return {
        f"{'float' if table == FLOAT else 'int'}{width}": operation_energy(table, action, width)
        for table, widths in _ALL_BITS.items()
        for width in widths
        if bits is None or width == bits or bits not in (8, 16, 32)
    }


def check(facts: Facts) -> Outcome:
    """Stated constants against Horowitz 2014; then those that the printed energies imply."""
    off = _stated(facts)
    if off is not None:
        return off
    implied = _implied(facts)
    if implied is not None:
        return implied
    if facts.claim.mac is not None or facts.claim.ac is not None:
        return passed(f"the stated constants are within {WARN:g} times of the usual ones")
    if recognise_ann(facts) or recognise_snn(facts):
        return passed("the printed energies follow from 4.6 pJ per MAC or 0.9 pJ per AC")
    formula = facts.claim.form.accounting.formula
    if formula is not None:
        return _follows(facts, formula)
    return not_checked("accounting.mac and accounting.ac, or energies with their operations")


def _stated(facts: Facts) -> Outcome | None:
    form = facts.claim.form
    worst: tuple[float, str, float, str, float] | None = None
    other = ""
    for action, printed, bits in (
        ("mac", facts.claim.mac, form.ann.weight_bits),
        ("ac", facts.claim.ac, form.snn.weight_bits),
    ):
        if printed is None:
            continue
        table = usual(action, None)
        name = min(table, key=lambda key: _factor(printed.value, table[key]))
        factor = _factor(printed.value, table[name])
        if factor >= WARN and (worst is None or factor > worst[0]):
            worst = (factor, action.upper(), printed.value, name, table[name])
        elif bits is not None and name not in usual(action, bits):
            other = other or _other_width(action, printed.value, name, bits)
    if worst is None:
        other = other or _mixed(facts)
        return finding("warning", other, fix=_WIDTH) if other else None
    factor, action, value, name, expected = worst
    sourced = bool(form.accounting.constants_source)
    severity: Severity = "note" if sourced else ("error" if factor >= ERROR else "warning")
    where = f" (stated source: {form.accounting.constants_source})" if sourced else ""
    return finding(
        severity,
        f"{value * 1e12:.4g} pJ per {action}{where} is {factor:.3g} times off the nearest usual "
        f"constant, {expected * 1e12:.4g} pJ ({name}, 45 nm, Horowitz 2014).",
        fix="name node, width and source of the constants, or use the usual ones",
        corrected=expected,
        quantity=f"energy of one {action}",
        unit="J",
    )


_WIDTH = "use the constants of the format and width that the networks have"


#: a constant this close to a usual one is taken to be of its format: 3.7 pJ, a float
#: multiplication alone, is near both formats; 4.6 and 0.1 pJ are near one
_SAME_FORMAT = 1.25


def _formats(action: str, energy: float) -> set[str]:
    """ "float" and "int", as far as a usual constant is near."""
    return {
        name.rstrip("0123456789")
        for name, expected in usual(action, None).items()
        if _factor(energy, expected) < _SAME_FORMAT
    }


def _mixed(facts: Facts) -> str:
    """A sentence if the MAC is one of floating point and the AC one of integers, or the reverse."""
    if facts.claim.mac is None or facts.claim.ac is None:
        return ""
    mac, ac = _formats("mac", facts.mac), _formats("ac", facts.ac)
    if not mac or not ac or mac & ac:
        return ""
    return (
        f"{facts.mac * 1e12:.4g} pJ per MAC is a constant of {mac.pop()} operations, "
        f"{facts.ac * 1e12:.4g} pJ per AC one of {ac.pop()} operations."
    )


def _other_width(action: str, value: float, name: str, bits: int) -> str:
    """A sentence if a constant is usual, but for another width than the stated one."""
    table = usual(action, bits)
    factor = min(_factor(value, expected) for expected in table.values())
    if factor < WARN:
        return ""
    return (
        f"{value * 1e12:.4g} pJ per {action.upper()} is the constant of {name}, but the weights "
        f"have {bits} bit: {factor:.3g} times the constant of that width."
    )


def _factor(value: float, reference: float) -> float:
    return max(value / reference, reference / value)


def _implied(facts: Facts) -> Outcome | None:
    """Energy per operation that the printed numbers imply, where no formula explains them."""
    if counts_memory(facts):
        return None
    claim = facts.claim
    dense, zeros = dense_ann(facts), claim.form.ann.zero_fraction
    if claim.ann_energy is not None and dense is not None and not recognise_ann(facts):
        skipped = dense * (1 - zeros) if zeros is not None else dense
        factor = claim.ann_energy.value / skipped
        if not near(claim.ann_energy, skipped) and _factor(factor, 1.0) >= WARN:
            return _mismatch(facts, "ANN", "MAC", claim.ann_energy.value, factor, skipped)
    operations = claim.snn_operations
    if claim.snn_energy is None or operations is None or recognise_snn(facts) is not None:
        return None
    right = facts.ac * operations.value
    if facts.direct and facts.shape.first_macs:
        right += facts.mac * facts.shape.first_macs
    factor = claim.snn_energy.value / right
    if _factor(factor, 1.0) < WARN:
        return None
    return _mismatch(facts, "SNN", "AC", claim.snn_energy.value, factor, right)


def _mismatch(
    facts: Facts, side: str, action: str, printed: float, factor: float, right: float
) -> Outcome:
    constant = facts.mac if action == "MAC" else facts.ac
    return finding(
        "error" if facts.stated else "warning",
        f"The printed {side} energy of {mj(printed)} is {factor:.3g} times what its operations "
        f"give at {constant * 1e12:.4g} pJ per {action}, {mj(right)}: it implies "
        f"{constant * factor * 1e12:.3g} pJ per {action}.",
        fix="print the constant that was used, and what the operations count",
        corrected=right,
        quantity=f"{side} energy per inference",
        unit="J",
    )


def _follows(facts: Facts, formula: str) -> Outcome:
    model = next(item for item in facts.models if item.key == formula)
    pairs = ((facts.claim.ann_energy, model.ann), (facts.claim.snn_energy, model.snn))
    known = [(printed, value) for printed, value in pairs if printed and value]
    if not known:
        return not_checked("energies, and the inputs of the model in accounting.formula")
    factors = [_factor(printed.value, value) for printed, value in known]
    if max(factors) < WARN:
        return passed(f"the energies follow the model {formula!r} with its own constants")
    printed, value = known[factors.index(max(factors))]
    return finding(
        "warning",
        f"A printed energy of {mj(printed.value)} is {max(factors):.3g} times off {mj(value)}, "
        f"which the model {formula!r} gives with its own constants.",
        fix="print the constants that were used",
        corrected=value,
        quantity="energy per inference",
        unit="J",
    )


RULE = Rule(
    "constants",
    "Energies of an operation off the usual ones by a factor",
    ("horowitz_2014",),
    "table of rough energy costs, 45 nm, 0.9 V",
    check,
)
