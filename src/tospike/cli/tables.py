"""``tospike technologies`` and ``tospike breakeven``: tables that need no network."""

from __future__ import annotations

from typing import Annotated

import typer

from tospike.cli.common import Json, print_json


def technologies(as_json: Json = False) -> None:
    """List the energy reference tables (technologies) with their sources."""
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
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "node", "title")
    for item in loaded:
        table.add_row(item.name, f"{item.node_nm:g} nm" if item.node_nm else "-", item.title)
    Console().print(table)


def breakeven(
    technology: Annotated[
        str | None,
        typer.Option(help="Price every row with this one; default: each row with the paper's own."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Spikes per synapse below which an SNN beats each ANN model (Dampfhoffer 2022, Table III)."""
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
    from tospike.reporting import render_breakeven

    render_breakeven(
        {
            "model": row.key,
            "title": row.model,
            "spikes_per_synapse": row.spikes_per_synapse,
            "printed": row.printed,
            # 0.44 for VGG16 stands in the text of III-B1, not in the table.
            "locator": ""
            if row.printed is None
            else "III-B1"
            if row.key == "ann_eyeriss_v1_vgg16"
            else "Table III",
        }
        for row in rows
    )
