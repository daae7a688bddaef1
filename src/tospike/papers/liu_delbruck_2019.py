"""Liu & Delbruck 2019: claims and tables, recomputed. One line per claim and per table."""

from __future__ import annotations

from tospike.papers import liu_delbruck_2019_claims as claims
from tospike.papers import liu_delbruck_2019_tables as tables
from tospike.papers.registry import Paper, Recompute

_RECOMPUTE: dict[str, Recompute] = {
    "BRAIN-EFF": claims.brain_efficiency,
    "BRAIN-10k": claims.brain_input_rate,
    "FANIN": claims.fan_in,
    "SPEEDUP4": claims.speedup,
    "NH-400": claims.nullhop_efficiency,
    "NH-500": claims.nullhop_throughput,
    "NH-3": claims.nullhop_core,
    "NH-area": claims.nullhop_area,
    "NH-sys": claims.nullhop_system,
    "DELTA": claims.delta_traffic,
    "DRNN": claims.deltarnn,
    "EDGE-PAR": claims.edgedrnn_parameters,
    "EDGE-LAT": claims.edgedrnn_latency,
    "EDGE-EFF": claims.edgedrnn_efficiency,
    "1TOP": claims.cnn_area_efficiency,
    "SRAM20": claims.cell_area,
    "DRAM50": claims.row_change,
}

PAPER = Paper(
    key="liu_delbruck_2019",
    recompute={f"liu2019-{name}": function for name, function in _RECOMPUTE.items()},
    tables={"Fig. 2": tables.brain, "Fig. 3": tables.dram, "NullHop system": tables.nullhop},
)
