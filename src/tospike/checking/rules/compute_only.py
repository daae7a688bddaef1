"""Compute-only accounting: MACs against ACs, memory accesses left out."""

from __future__ import annotations

from statistics import median

from tospike.checking.facts import Facts
from tospike.checking.formulas import recognise_ann, recognise_snn
from tospike.checking.record import Outcome, finding, not_checked, passed
from tospike.checking.rules.rule import Rule, counts_memory
from tospike.units import si

_FIX = (
    "count reads and writes of weights, states and activations for both networks, for instance "
    "with accounting.formula: dampfhoffer_best"
)


def check(facts: Facts) -> Outcome:
    """Recognised where a printed energy is operations x energy of an operation, or declared."""
    form = facts.claim.form.accounting
    if form.formula not in (None, "compute_only"):
        return passed(f"the energies follow the model {form.formula!r}, which counts memory")
    ann, snn = recognise_ann(facts), recognise_snn(facts)
    shown = _arithmetic(facts, ann, snn.text if snn else "")
    if counts_memory(facts):
        if not shown:
            return passed("memory accesses are said to be counted, and no energy contradicts it")
        return finding(
            "error",
            f"The claim says that memory accesses are counted, but {shown}: operations alone.",
            fix="print the energy of the memory accesses apart",
        )
    declared = form.memory == "none" or form.formula == "compute_only"
    if not shown and not declared:
        return not_checked(
            "accounting.memory, or printed energies with the operations that give them"
        )
    why = f"{shown}, so" if shown else "as stated,"
    return _judge(facts, why[0].upper() + why[1:])


def _arithmetic(facts: Facts, ann: bool, snn: str) -> str:
    parts = []
    if ann and facts.claim.ann_energy and facts.ann_macs:
        parts.append(
            f"{si(facts.ann_macs, 'MAC', 4)} x {facts.mac * 1e12:.4g} pJ gives the printed ANN "
            f"energy of {facts.claim.ann_energy.text}"
        )
    if snn and facts.claim.snn_energy:
        parts.append(f"{snn} gives the printed SNN energy of {facts.claim.snn_energy.text}")
    return " and ".join(parts)


def _judge(facts: Facts, why: str) -> Outcome:
    ratios = sorted(
        item.ratio for item in facts.models if item.counts_memory and item.ratio is not None
    )
    text = f"{why} memory accesses are left out."
    claimed = facts.claimed_ratio
    if not ratios:
        return finding("warning", text, fix=_FIX)
    middle = median(ratios)
    text += (
        f" Under {len(ratios)} published models that count memory, ANN / SNN is "
        f"{ratios[0]:.3g} to {ratios[-1]:.3g}, median {middle:.3g}"
    )
    if len(ratios) == 1:
        text = f"{why} memory accesses are left out. With them ANN / SNN is {middle:.3g} " + (
            "under the one published model that the inputs allow"
        )
    text += "." if claimed is None else f"; claimed {claimed:.3g}."
    turns = claimed is not None and (claimed > 1) != (middle > 1)
    if turns:
        text += " The comparison turns round."
    return finding(
        "error" if turns else "warning", text, fix=_FIX, corrected=middle,
        quantity="ANN / SNN energy, median over models with memory",
    )  # fmt: skip


RULE = Rule(
    "compute_only",
    "Compute-only accounting: memory accesses left out",
    ("dampfhoffer_2022", "yan_2026"),
    "Dampfhoffer 2022, sections I and II-D (Fig. 6: 96 % of the naive ANN is memory)",
    check,
)
