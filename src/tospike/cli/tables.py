"""``tospike technologies`` and ``tospike breakeven``: tables that need no network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tospike.cli.common import Format, Json, check_format, print_as, print_json

if TYPE_CHECKING:
    from tospike.equations.breakeven import BreakEvenRow
    from tospike.tables import Table


def technologies(format: Format = None, as_json: Json = False) -> None:
    """List the energy reference tables (technologies) with their sources."""
    check_format(format, as_json)
    from tospike.tables import Column, Table, print_tables
    from tospike.technology import load, names

    loaded = [load(name) for name in names()]
    if as_json:
        print_json(
            [
                {
                    "name": item.name,
                    "title": item.title,
                    "node_nm": item.node_nm,
                    "sources": list(item.sources),
                }
                for item in loaded
            ]
        )
        return
    table = Table(
        key="technologies",
        title="Energy reference tables",
        columns=(
            Column("name", "name"),
            Column("node_nm", "node", "nm"),
            Column("title", "title"),
        ),
        rows=tuple(
            {"name": item.name, "node_nm": item.node_nm, "title": item.title} for item in loaded
        ),
        sources=tuple(dict.fromkeys(key for item in loaded for key in item.sources)),
    )
    if format is not None:
        print_as([table], format)
    else:
        print_tables([table])


def breakeven(
    technology: Annotated[
        str | None,
        typer.Option(help="Price every row with this one; default: each row with the paper's own."),
    ] = None,
    format: Format = None,
    as_json: Json = False,
) -> None:
    """Spikes per synapse below which an SNN beats each ANN model (Dampfhoffer 2022, Table III)."""
    check_format(format, as_json)
    from dataclasses import asdict

    from tospike.equations import breakeven_table

    rows = breakeven_table(technology)
    if as_json:
        print_json(
            {
                "rows": [asdict(row) for row in rows],
                "locator": "Table III; 0.44 in section III-B1",
                "source": "dampfhoffer_2022",
            }
        )
        return
    if format is not None:
        print_as([_breakeven_table(rows)], format)
        return
    from tospike.reporting import render_breakeven

    render_breakeven(
        {
            "model": row.key,
            "title": row.model,
            "spikes_per_synapse": row.spikes_per_synapse,
            "printed": row.printed,
            "locator": _locator(row),
        }
        for row in rows
    )


def _locator(row: BreakEvenRow) -> str:
    """0.44 for VGG16 stands in the text of III-B1, not in the table."""
    if row.printed is None:
        return ""
    return "III-B1" if row.key == "ann_eyeriss_v1_vgg16" else "Table III"


def _breakeven_table(rows: Sequence[BreakEvenRow]) -> Table:
    from tospike.tables import Column, Table

    notes = [f"{row.key}: {row.note}" for row in rows if row.note]
    return Table(
        key="break_even",
        title="Break-even: an SNN (IF neurons, instantaneous synapses) needs less energy than the "
        "ANN model below these rates",
        columns=(
            Column("key", "ANN model"),
            Column("model", "description"),
            Column("spikes_per_synapse", "spikes per synapse", digits=3),
            Column("low", "low", digits=3),
            Column("high", "high", digits=3),
            Column("printed", "printed", digits=3),
            Column("locator", "place"),
            Column("technology", "technology"),
        ),
        rows=tuple(
            {
                "key": row.key,
                "model": row.model,
                "spikes_per_synapse": row.spikes_per_synapse,
                "low": row.low,
                "high": row.high,
                "printed": row.printed,
                "locator": _locator(row),
                "technology": row.technology,
            }
            for row in rows
        ),
        assumptions=(
            "Spikes per synapse and inference; dynamic energy of synapses and their memories, "
            "without static power and communication",
            "low and high: every constant at the end of its range that favours one side",
        ),
        notes=tuple(notes),
        sources=("dampfhoffer_2022",),
    )
