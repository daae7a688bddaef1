"""Tables II and III of the paper, printed beside computed."""

from __future__ import annotations

from collections.abc import Mapping

from tospike.papers.claim import Finding
from tospike.papers.dampfhoffer_2022_energy import claim_of, rows
from tospike.papers.dampfhoffer_2022_networks import TABLE_2
from tospike.papers.judge import judge
from tospike.papers.registry import Recompute
from tospike.tables import Column, Table
from tospike.tables.record import Value

_SNN = {"snn_if_inst": "IF+inst", "snn_lif_inst": "LIF+inst", "snn_if_cont": "IF+cont"}
#: rows of Table III: claim, printed name, row of the product's break-even table
_TABLE_3 = (
    ("T3-worst", "Worst case ANN: Baseline (II)", "ann_naive"),
    ("T3-reuse", "Ideal reuse (III-A)", "ann_reuse"),
    ("T3-best", "Best case ANN: Ideal reuse + iact sparsity (III-A)", "ann_reuse_sparsity"),
    ("EV1-ALEX", "Eyeriss v1: reuse + iact sparsity (III-B1)", "ann_eyeriss_v1_alexnet"),
    (
        "EV2",
        "Eyeriss v2: reuse + iact sparsity + data compression (III-B2)",
        "ann_eyeriss_v2_alexnet",
    ),
)
_JUDGED = (
    Column("printed", "printed"),
    Column("computed", "computed"),
    Column("as_stated", "as stated"),
    Column("deviation", "deviation", "%", digits=2),
    Column("verdict", "verdict"),
)
_RULE = (
    "Computed: the number under the stated method; with the verdict “convention” the number under "
    "the convention that the note names, and “as stated” the number without it"
)


def _judged(finding: Finding) -> dict[str, Value]:
    """The cells that every row of printed beside computed has."""
    return {
        "printed": finding.claim.value,
        "computed": finding.computed,
        "as_stated": finding.as_stated if finding.convention else None,
        "deviation": None if finding.deviation is None else 100 * finding.deviation,
        "verdict": finding.verdict.replace("_", " "),
    }


def _note(row: str, finding: Finding) -> str:
    named = f" ({finding.convention})" if finding.convention else ""
    return f"{row}{named}: {finding.explanation}"


def _finding(recompute: Mapping[str, Recompute], suffix: str) -> Finding:
    claim = claim_of(suffix)
    return judge(claim, recompute[suffix](claim))


def table_2(recompute: Mapping[str, Recompute]) -> Table:
    """E_ANN / E_SNN of published SNNs."""
    found = []
    notes = []
    for row in TABLE_2:
        finding = _finding(recompute, f"T2-{row.id}")
        found.append(
            {
                "row": f"{row.task} {row.reference}",
                "model": _SNN[row.model],
                "steps": row.steps,
                "spikes": row.spikes,
                **_judged(finding),
            }
        )
        if finding.verdict != "reproduces":
            notes.append(_note(f"{row.task} {row.reference}", finding))
    return Table(
        key="dampfhoffer_2022_table_2",
        title="SNN energy efficiency relative to a naive ANN, E_ANN / E_SNN (Table II)",
        columns=(
            Column("row", "task, paper (topology)"),
            Column("model", "SNN"),
            Column("steps", "T"),
            Column("spikes", "spikes/syn"),
            *_JUDGED,
        ),
        rows=tuple(found),
        assumptions=(
            "Eqs. 2, 4, 7 and 10 with the 45 nm column of Table I; T and spikes per synapse are "
            "the paper's inputs",
            "Topologies are those of the zoo, groups counted truly, neurons are the outputs of "
            "convolutional and fully connected layers; VGG16 is the ImageNet one for both tasks",
            "For networks with encoding layer (*) the first layer is left out",
            _RULE,
        ),
        sources=("dampfhoffer_2022", "horowitz_2014"),
        notes=tuple(notes),
    )


def table_3(recompute: Mapping[str, Recompute]) -> Table:
    """Target spikes per synapse of the IF+inst model."""
    found = []
    notes = []
    for suffix, name, key in _TABLE_3:
        finding = _finding(recompute, suffix)
        row = rows()[key]
        found.append({"row": name, **_judged(finding), "low": row.low, "high": row.high})
        if finding.verdict != "reproduces":
            notes.append(_note(name, finding))
    return Table(
        key="dampfhoffer_2022_table_3",
        title="Target spikes per synapse for the SNN IF+inst model to be at least as efficient as "
        "the ANN (Table III)",
        columns=(
            Column("row", "ANN accelerator model"),
            *_JUDGED,
            Column("low", "low", digits=3),
            Column("high", "high", digits=3),
        ),
        rows=tuple(found),
        assumptions=(
            "Table I: the 45 nm column for the baseline, the 65 nm column for the rest; reuse "
            "factors to infinity in the ideal models; gamma 0.58; AlexNet (RF 80) for Eyeriss",
            "Low and high: every constant of ANN and SNN at the end of its range that favours one "
            "side, with gating over the whole bracket of eq. 13",
            _RULE,
        ),
        sources=(
            "dampfhoffer_2022",
            "horowitz_2014",
            "chen_2016_isca",
            "chen_2017_jssc",
            "chen_2019_jetcas",
        ),
        notes=tuple(notes),
    )
