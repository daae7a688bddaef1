"""The tables of ``tospike convert --format``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tospike.tables import Column, Table

if TYPE_CHECKING:
    from tospike.conversion import RunResult
    from tospike.conversion.delta.traffic import LayerTraffic


def delta_tables(
    thetas: Mapping[str, float],
    layers: Iterable[LayerTraffic],
    quality: Mapping[str, float | None] | None,
    *,
    searched: bool,
) -> list[Table]:
    """Thresholds of every layer, and on data: what it read; then the quality, where measured.

    ``thetas``: by "<module>.<level>.theta_x" or "...theta_h".
    """
    read = {(one.name, one.level): one for one in layers}
    rows: dict[tuple[str, int], dict[str, str | int | float | None]] = {}
    for text, value in thetas.items():
        name, level, which = f".{text}".rsplit(".", 2)
        at = name.lstrip("."), int(level)
        rows.setdefault(at, {"layer": at[0] or "network", "level": at[1]})[which] = value
    for at, row in rows.items():
        if (one := read.get(at)) is not None:
            row |= {
                "sparsity_x": one.sparsity_x,
                "sparsity_h": one.sparsity_h,
                "weights": one.weights,
                "dense_weights": one.dense_weights,
            }
    columns = [
        Column("layer", "layer"),
        Column("level", "level"),
        Column("theta_x", "Θx"),
        Column("theta_h", "Θh"),
    ]
    if read:
        columns += [
            Column("sparsity_x", "Γx"),
            Column("sparsity_h", "Γh"),
            Column("weights", "weights read per step", digits=6),
            Column("dense_weights", "dense weights per step", digits=None),
        ]
    said = "Thresholds were searched on these very data: check them on others"
    tables = [
        Table(
            key="convert_delta",
            title="Thresholds of the delta network" + (", and what it reads" if read else ""),
            columns=tuple(columns),
            rows=tuple(rows.values()),
            notes=(said,) if searched else (),
            sources=("liu_delbruck_2019",),
        )
    ]
    if quality is not None:
        tables.append(_quality(quality, said if searched else ""))
    return tables


def _quality(quality: Mapping[str, float | None], note: str) -> Table:
    columns = (
        Column("accuracy", "accuracy"),
        Column("accuracy_dense", "accuracy of the dense network"),
        Column("agreement", "agreement with the dense network"),
        Column("snr_db", "SNR against the dense network", "dB"),
    )
    kept = tuple(column for column in columns if quality.get(column.key) is not None)
    return Table(
        key="convert_quality",
        title="Quality of the delta network on the data given",
        columns=kept,
        rows=({column.key: quality[column.key] for column in kept},),
        notes=(note,) if note else (),
    )


def run_tables(to: str, result: RunResult) -> list[Table]:
    """Activity of every layer of a spiking or quantised network; accuracy and agreement."""
    activity = Table(
        key=f"convert_{to}",
        title=f"Activity of the layers as {to.upper()}",
        columns=(
            Column("layer", "layer"),
            Column("signal", "signal"),
            Column("zero_fraction", "zero fraction"),
            Column("synaptic_operations", "synaptic operations per inference"),
            Column("spikes_per_synapse", "spikes per synapse"),
        ),
        rows=tuple(
            {
                "layer": name,
                "signal": one.signal,
                "zero_fraction": one.zero_fraction,
                "synaptic_operations": one.synaptic_operations,
                "spikes_per_synapse": one.spikes_per_synapse,
            }
            for name, one in result.activity.layers.items()
        ),
        notes=tuple(result.notes),
    )
    quality = Table(
        key="convert_quality",
        title=f"Quality as {to.upper()} on the data given",
        columns=(
            Column("accuracy", "accuracy"),
            Column("agreement", "agreement with the original network"),
        ),
        rows=({"accuracy": result.accuracy, "agreement": result.agreement},),
    )
    return [activity, quality]
