"""Ottati et al. 2023: claims and tables, recomputed. One line per claim and per table."""

from __future__ import annotations

from tospike.papers import ottati_2023_energy as neuron
from tospike.papers import ottati_2023_static as images
from tospike.papers import ottati_2023_tables as tables
from tospike.papers import ottati_2023_temporal as audio
from tospike.papers.registry import Paper, Recompute

_RECOMPUTE: dict[str, Recompute] = {
    "T1": neuron.density,
    "NRD": neuron.reads,
    "ESNN": neuron.energy(neuron.snn_window),
    "EANN": neuron.energy(neuron.ann_window),
    "RATIO": neuron.ratio(neuron.ann_window, neuron.snn_window),
    "RSNN": neuron.energy(neuron.snn_neuron),
    "RANN": neuron.energy(neuron.ann_neuron),
    "RRATIO": neuron.ratio(neuron.ann_neuron, neuron.snn_neuron),
    "159MWh": neuron.training_energy,
    "VITG-FLOP": neuron.vit_operations,
    "VITG-PAR": neuron.vit_parameters,
    "SPIKEGPT": neuron.spikegpt,
    "T2-E-Keller23": images.energy("Keller'23"),
    "T2-E-Park22": images.energy("Park'22"),
    "T2-E-Mo21": images.energy("Mo'21"),
    "T2-E-SNPU23": images.energy("SNPU'23"),
    "T2-E-CDNN23": images.energy("C-DNN'23"),
    "T2-GOP-Keller23": images.operations("Keller'23"),
    "T2-GOP-Park22": images.operations("Park'22"),
    "T2-GOP-Mo21": images.operations("Mo'21"),
    "T2-GOP-CDNN23": images.operations("C-DNN'23"),
    "195": images.energy("SNPU'23"),
    "046": images.mo_in_text,
    "281": images.cdnn_in_text,
    "PARETO": images.pareto,
    "CONCL": images.second_best,
    "PARAM768": images.parameters,
    "PROC": images.process,
    "T3-Yang19": audio.energy("Yang'19"),
    "T3-Oh19": audio.energy("Oh'19"),
    "T3-Frenkel22": audio.energy("Frenkel'22"),
    "T3-Kim22": audio.energy("Kim'22"),
    "T3-Giraldo22": audio.energy("Giraldo'22"),
    "T3-Shan23": audio.energy("Shan'23"),
    "28x": audio.parameter_ratio,
    "YANG": audio.yang_area,
    "KWS": audio.keyword_spotting,
}

PAPER = Paper(
    key="ottati_2023",
    recompute={f"ottati2023-{name}": function for name, function in _RECOMPUTE.items()},
    tables={
        "Table I": tables.table_1,
        "Table II": tables.table_2_recomputed,
        "Table III": tables.table_3_recomputed,
    },
)
