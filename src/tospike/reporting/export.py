"""A decision as :class:`~tospike.tables.Table` records, for LaTeX, CSV, Markdown and JSON."""

from __future__ import annotations

from tospike.decision.record import Decision
from tospike.reporting.deltas import delta_export
from tospike.reporting.published import published_table
from tospike.sources import SOURCES
from tospike.tables import Column, Table, Value


def decision_tables(decision: Decision) -> list[Table]:
    """Implementations, layers, break-even per ANN model, constants, published models."""
    tables = [_implementations(decision)]
    if decision.layers:
        tables.append(_layers(decision))
    if (deltas := delta_export(decision)) is not None:
        tables.append(deltas)
    if decision.break_even_by_model:
        tables.append(_break_even(decision))
    if decision.sensitivities:
        tables.append(_sensitivities(decision))
    published = published_table(decision)
    if published is not None:
        tables.append(published)
    return tables


def _what(decision: Decision) -> str:
    network, data = decision.network, decision.data
    return f"{network.get('name', 'network')} on {data.get('origin', 'unknown data')}"


def _basis(decision: Decision) -> tuple[str, ...]:
    title = decision.technology.get("title") or decision.technology.get("name", "")
    samples = decision.data.get("n_samples")
    head = [f"Energies are modelled: counts times the technology “{title}”"]
    if samples:
        head.append(f"Activity was measured on {samples} samples")
    return (*head, *decision.assumptions, *decision.out_of_range)


def _sources(decision: Decision) -> tuple[str, ...]:
    # A decision read from a file may name sources of another version.
    keys = (str(source.get("key", "")) for source in decision.sources)
    return tuple(dict.fromkeys(key for key in keys if key in SOURCES))


def _implementations(decision: Decision) -> Table:
    reference = next((item for item in decision.implementations if item.reference), None)
    base = reference.energy_J if reference else None
    rows: list[dict[str, Value]] = [
        {
            "name": item.name,
            "mode": item.mode,
            "timesteps": item.timesteps,
            "bits": item.activation_bits,
            "accuracy": None if item.accuracy is None else 100 * item.accuracy,
            "agreement": None if item.agreement is None else 100 * item.agreement,
            "snr": item.snr_db,
            "traffic": item.weight_bytes_per_step,
            "energy": item.energy_J,
            "low": item.energy_low_J,
            "high": item.energy_high_J,
            "ratio": item.energy_J / base if base else None,
            "p_cheaper": item.p_cheaper,
            "spikes_per_synapse": item.spikes_per_synapse,
            "energy_model": item.energy_model,
            "evidence": item.evidence,
            "remark": ", ".join(
                word
                for word, here in (
                    ("winner", item.name == decision.winner),
                    ("reference", item.reference),
                    ("below the floor", item.meets_floor is False),
                )
                if here
            ),
        }
        for item in decision.implementations
    ]
    return Table(
        key="implementations",
        title=f"Implementations of {_what(decision)}, energy per inference",
        columns=(
            Column("name", "implementation"),
            Column("mode", "mode"),
            Column("timesteps", "T"),
            Column("bits", "activation bits"),
            Column("accuracy", "accuracy", "%"),
            Column("agreement", "agreement with the float network", "%"),
            Column("snr", "SNR against the float network", "dB", digits=3),
            Column("traffic", "weights per step", "B", digits=3),
            Column("energy", "energy", "J", digits=3),
            Column("low", "5 %", "J", digits=3),
            Column("high", "95 %", "J", digits=3),
            Column("ratio", "× reference", digits=3),
            Column("p_cheaper", "P(cheaper)", digits=3),
            Column("spikes_per_synapse", "spikes per synapse", digits=3),
            Column("energy_model", "energy model"),
            Column("evidence", "activity and accuracy"),
            Column("remark", "remark"),
        ),
        rows=tuple(rows),
        assumptions=_basis(decision),
        sources=_sources(decision),
        notes=(decision.verdict,),
    )


def _layers(decision: Decision) -> Table:
    rows: list[dict[str, Value]] = [
        {
            "name": layer.name,
            "kind": layer.kind,
            "synapses": layer.n_synapses,
            "neurons": layer.n_neurons,
            "weights": layer.n_weights,
            "zeros": layer.zero_fraction,
            "operations": layer.synaptic_operations,
            "spikes_per_synapse": layer.spikes_per_synapse,
            "break_even": layer.break_even_spikes_per_synapse,
            "distance": layer.distance,
            "mode": layer.mode,
            "why_not": layer.why_not,
        }
        for layer in decision.layers
    ]
    return Table(
        key="layers",
        title=f"Layers of {_what(decision)}: activity against break-even",
        columns=(
            Column("name", "layer"),
            Column("kind", "kind"),
            Column("synapses", "synapses"),
            Column("neurons", "neurons"),
            Column("weights", "weights"),
            Column("zeros", "zero fraction", digits=3),
            Column("operations", "synaptic operations"),
            Column("spikes_per_synapse", "spikes per synapse", digits=3),
            Column("break_even", "break-even", digits=3),
            Column("distance", "distance", digits=3),
            Column("mode", "mode"),
            Column("why_not", "why it cannot spike"),
        ),
        rows=tuple(rows),
        assumptions=(
            f"Break-even in spikes per synapse and inference against {decision.reference_model}; "
            "below a distance of 1 spiking needs less",
            *_basis(decision),
        ),
        sources=_sources(decision),
    )


def _break_even(decision: Decision) -> Table:
    return Table(
        key="break_even_by_model",
        title=f"{_what(decision)}: break-even of the layers that can spike, per ANN model",
        columns=(
            Column("model", "ANN model"),
            Column("break_even", "break-even spikes per synapse", digits=3),
            Column("p", "P(SNN wins)", digits=3),
        ),
        rows=tuple(
            {"model": key, "break_even": value, "p": decision.p_snn_wins_by_model.get(key)}
            for key, value in decision.break_even_by_model.items()
        ),
        assumptions=_basis(decision),
        sources=_sources(decision),
    )


def _sensitivities(decision: Decision) -> Table:
    return Table(
        key="sensitivities",
        title=f"{_what(decision)}: constants that could reverse the verdict",
        columns=(
            Column("constant", "constant"),
            Column("low", "low end"),
            Column("high", "high end"),
            Column("p_low", "P(cheaper) at low end", digits=3),
            Column("p_high", "P(cheaper) at high end", digits=3),
            Column("flip_at", "flips at (× nominal)", digits=3),
            Column("reverses", "reverses"),
        ),
        rows=tuple(
            {
                "constant": item.constant,
                "low": item.low,
                "high": item.high,
                "p_low": item.p_snn_wins_low,
                "p_high": item.p_snn_wins_high,
                "flip_at": item.flip_at,
                "reverses": item.reverses,
            }
            for item in decision.sensitivities
        ),
        assumptions=_basis(decision),
        sources=_sources(decision),
    )
