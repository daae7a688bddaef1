"""Decisions for tests of the reports: one like the demo's, and the edge cases."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tospike.activity.profile import ActivityProfile, LayerActivity
from tospike.decision.record import (
    Decision,
    EnergyPart,
    ImplementationResult,
    LayerResult,
    Sensitivity,
)
from tospike.network import Network
from tospike.network.layer import Layer
from tospike.network.network import Edge, Origin
from tospike.sources import SOURCES

HOSTILE = "</script><script>alert('x')</script><img src=http://evil.test/a.png onerror=alert(1)>"

_PARTS = ("compute", "local memory", "distant memory", "neuron", "border")


def _implementation(
    name: str,
    mode: str,
    nano_joule: float,
    accuracy: float | None,
    shares: tuple[float, ...],
    *,
    timesteps: int | None = None,
    rate: float | None = None,
    bits: int = 8,
    spread: tuple[float, float] = (0.7, 1.5),
    reference: bool = False,
    front: bool = False,
    evidence: str = "measured",
    notes: tuple[str, ...] = (),
) -> ImplementationResult:
    joule = nano_joule * 1e-9
    return ImplementationResult(
        name=name,
        mode=mode,
        energy_model="ann_eyeriss_v2" if mode != "snn" else "snn_if_inst",
        energy_J=joule,
        energy_low_J=joule * spread[0],
        energy_high_J=joule * spread[1],
        accuracy=accuracy,
        timesteps=timesteps,
        spikes_per_synapse=rate,
        activation_bits=bits,
        evidence=evidence,
        parts=tuple(
            EnergyPart(part, share * joule) for part, share in zip(_PARTS, shares, strict=True)
        ),
        on_pareto_front=front,
        reference=reference,
        notes=notes,
    )


def _layer(
    name: str, index: int, n_synapses: int, rate: float | None, mode: str = "ann"
) -> LayerResult:
    even = 0.42 / (1 + 0.05 * index)
    return LayerResult(
        name=name,
        kind="linear" if name.startswith("classifier") else "conv",
        n_synapses=n_synapses,
        n_neurons=max(10, n_synapses // 400),
        n_weights=max(100, n_synapses // 196),
        zero_fraction=0.02 if index == 0 else min(0.9, 0.45 + 0.05 * index),
        synaptic_operations=0.5 * n_synapses,
        break_even_spikes_per_synapse=even,
        break_even_by_model={
            "ann_dense": 3.3 * even,
            "ann_eyeriss_v1": 1.1 * even,
            "ann_eyeriss_v2": even,
        },
        spikes_per_synapse=rate,
        distance=None if rate is None else rate / even,
        mode=mode,
        eligible=index > 0,
        why_not="" if index else "its input is analog (the network's input)",
        input_shape=(32, 14, 14),
        output_shape=(64, 14, 14),
        energy_ann_J=2e-12 * n_synapses,
        energy_snn_J=None if rate is None else 5e-12 * n_synapses * rate,
    )


def image_decision() -> Decision:
    """A small CNN on images: the quantised ANN wins, one layer spikes in the hybrid."""
    ann = (0.16, 0.44, 0.40, 0.0, 0.0)
    snn = (0.07, 0.10, 0.43, 0.38, 0.02)
    implementations = (
        _implementation("ANN, 8 bit", "ann", 412, 0.912, ann, reference=True),
        _implementation("ANN, 8 bit, dense", "ann", 903, 0.912, ann, evidence="modelled"),
        _implementation("QNN, 5 bit activations", "qnn", 318, 0.911, ann, bits=5, front=True),
        _implementation("QNN, 3 bit activations", "qnn", 262, 0.904, ann, bits=3, front=True),
        _implementation("SNN, IF, T=4", "snn", 204, 0.734, snn, timesteps=4, rate=0.21, front=True),
        _implementation("SNN, IF, T=8", "snn", 391, 0.861, snn, timesteps=8, rate=0.44),
        _implementation("SNN, IF, T=16", "snn", 760, 0.897, snn, timesteps=16, rate=0.88),
        _implementation("SNN, IF, T=32", "snn", 1502, 0.908, snn, timesteps=32, rate=1.76),
        _implementation(
            "hybrid: 2 layers spike, T=8",
            "hybrid",
            297,
            0.909,
            (0.14, 0.36, 0.38, 0.08, 0.04),
            timesteps=8,
            front=True,
            notes=("executed on the data; rates measured again",),
        ),
    )
    names = ("features.0", "features.3", "features.6", "features.8", "classifier.1", "classifier.3")
    sizes = (225_792, 3_612_672, 7_225_344, 3_612_672, 1_605_632, 1_280)
    rates = (None, 0.62, 0.47, 0.21, 0.09, 0.31)
    layers = tuple(
        _layer(name, i, size, rate, "snn" if i in (3, 4) else "ann")
        for i, (name, size, rate) in enumerate(zip(names, sizes, rates, strict=True))
    )
    return Decision(
        verdict=(
            "Do not spike: at the same accuracy a quantised ANN needs 318 nJ per inference and the "
            "best SNN 1.50 µJ; two late layers gain a little as a hybrid."
        ),
        winner="hybrid: 2 layers spike, T=8",
        p_snn_wins=0.14,
        p_snn_wins_by_model={"ann_dense": 0.71, "ann_eyeriss_v1": 0.22, "ann_eyeriss_v2": 0.14},
        implementations=implementations,
        layers=layers,
        partition={layer.name: layer.mode for layer in layers},
        network={
            "name": "FashionCNN",
            "importer": "torch",
            "n_synapses": sum(sizes),
            "n_neurons": 52_330,
            "n_weights": 421_642,
            "sha256": "9f2b5c0d7e1a4b3c8d6e5f40718293a4b5c6d7e8f90112233445566778899aab",
        },
        data={"origin": "Fashion-MNIST test images", "n_samples": 2000, "labelled": True},
        technology={
            "name": "dampfhoffer_2022_45nm",
            "title": "Dampfhoffer 2022, Table I, 45 nm, 8 bit",
            "node_nm": 45,
        },
        reference_model="ann_eyeriss_v2",
        sensitivities=(
            Sensitivity("sram read, 8 KiB, 64 bit", 0.5, 2.0, 0.04, 0.61, 1.62, True),
            Sensitivity("register read, 8 bit", 0.4, 2.5, 0.57, 0.03, 0.48, True),
            Sensitivity("mac, 8 bit", 0.6, 4.0, 0.11, 0.34, None, False),
            Sensitivity("gated fraction", 0.3, 1.0, 0.08, 0.19, None, False),
            Sensitivity("compare, 8 bit", 0.5, 2.0, 0.14, 0.14, None, False),
        ),
        assumptions=(
            "Every word is fetched once from distant memory per inference (batch 1).",
            "Weights fit on chip; DRAM is not counted.",
            "No leakage: energy is dynamic only.",
            "Communication between cores is not counted.",
            "The SNN is converted, with constant-current input and soft reset.",
        ),
        out_of_range=("classifier.3: the equation was derived for convolutions of 3×3 and more.",),
        warnings=("The technology gives 8 KiB SRAM reads that differ 2× between two sources.",),
        sources=(
            *(
                {"key": key, "text": SOURCES[key].text, "verified": SOURCES[key].verified}
                for key in ("dampfhoffer_2022", "chen_2019_jetcas", "horowitz_2014")
            ),
            {
                "key": "recalled_1999",
                "text": "A. N. Author: A thing. [quoted second-hand]",
                "verified": False,
            },
        ),
        accuracy_floor=0.9,
        break_even_spikes_per_synapse=0.37,
        break_even_by_model={"ann_dense": 1.22, "ann_eyeriss_v1": 0.41, "ann_eyeriss_v2": 0.37},
        spikes_per_synapse=0.48,
        distance=0.48 / 0.37,
        challenger="hybrid: 2 layers spike, T=8",
    )


def stream_decision() -> Decision:
    """A recurrent network on speech: no labels, no spiking layer, a delta network wins."""
    parts = (0.2, 0.2, 0.6, 0.0, 0.0)
    names = ("fc1", "gru.weight_ih_l0", "gru.weight_hh_l0", "fc2", "fc3")
    layers = tuple(
        replace(
            _layer(name, i, 400_000 * (i + 1), None),
            kind=("linear", "rnn_input", "rnn_hidden", "linear", "linear")[i],
            eligible=False,
            why_not="its input is a recurrent state (tanh), not a rate",
            temporal_sparsity={
                str(theta): 1 - (0.6 - 0.05 * i) * math.exp(-theta * 12)
                for theta in (0.0, 0.0078125, 0.03125, 0.0625, 0.125, 0.25)
            },
        )
        for i, name in enumerate(names)
    )
    return replace(
        image_decision(),
        verdict=(
            "Do not spike: no layer of this network can receive spikes; a delta network needs "
            "3.1× less energy."
        ),
        winner="delta GRU, Θ=0.125",
        p_snn_wins=None,
        p_snn_wins_by_model={},
        implementations=(
            _implementation("ANN, 8 bit", "ann", 51_000, None, parts, reference=True),
            _implementation("delta GRU, Θ=0.0625", "delta", 22_000, None, parts),
            _implementation("delta GRU, Θ=0.125", "delta", 16_400, None, parts, front=True),
        ),
        layers=layers,
        partition=dict.fromkeys(names, "ann"),
        network={"name": "NSNet2", "importer": "onnx", "n_synapses": 6_000_000, "sha256": "ab12"},
        data={"origin": "speech", "n_samples": 12, "labelled": False},
        sensitivities=(),
        accuracy_floor=None,
        warnings=(),
        out_of_range=(),
    )


def empty_decision() -> Decision:
    """The least that a Decision can hold."""
    return Decision(
        verdict="No implementation could be priced.",
        winner="",
        p_snn_wins=None,
        p_snn_wins_by_model={},
        implementations=(),
        layers=(),
        partition={},
        network={},
        data={},
        technology={},
        reference_model="",
    )


def hostile_decision() -> Decision:
    """Every text is markup, with awkward Unicode; numbers are NaN, infinite, zero or negative."""
    base = image_decision()
    odd = ("\udcff", "层\u202e\u0007", "[bold red]x[/]", HOSTILE)
    layers = tuple(
        replace(layer, name=f"{HOSTILE}{odd[i % 4]}{i}", why_not=HOSTILE, kind=HOSTILE)
        for i, layer in enumerate(base.layers)
    )
    layers = (
        replace(layers[0], break_even_spikes_per_synapse=math.inf, distance=math.nan),
        replace(layers[1], distance=math.nan, break_even_spikes_per_synapse=math.nan),
        replace(layers[2], distance=0.0, spikes_per_synapse=0.0),
        replace(layers[3], distance=math.inf, break_even_spikes_per_synapse=0.0),
        replace(layers[4], zero_fraction=math.nan, mode="unknown-mode"),
        layers[5],
    )
    implementations = tuple(
        replace(item, name=f"{HOSTILE} {item.name}", notes=(HOSTILE,), evidence=HOSTILE)
        for item in base.implementations
    )
    implementations = (
        replace(implementations[0], energy_high_J=math.inf),
        replace(implementations[1], energy_J=math.nan, accuracy=math.nan),
        replace(implementations[2], energy_J=0.0, energy_low_J=0.0, parts=()),
        replace(implementations[3], parts=(EnergyPart(HOSTILE, 1e-7),)),
        *implementations[4:],
    )
    return replace(
        base,
        verdict=HOSTILE,
        winner=implementations[4].name,
        p_snn_wins=math.nan,
        p_snn_wins_by_model={HOSTILE: 0.5, "nan": math.nan},
        implementations=implementations,
        layers=layers,
        partition={layer.name: layer.mode for layer in layers},
        network={"name": HOSTILE, "sha256": HOSTILE, HOSTILE: HOSTILE},
        data={"origin": HOSTILE, "n_samples": np.int64(3)},
        technology={"title": HOSTILE, "node_nm": np.float64(45)},
        sensitivities=(Sensitivity(HOSTILE, 0.5, math.inf, math.nan, 0.5, math.nan, True),),
        assumptions=(HOSTILE,),
        out_of_range=(HOSTILE,),
        warnings=(HOSTILE,),
        sources=({"key": HOSTILE, "text": f"{HOSTILE} doi:10.1000/{HOSTILE}", "verified": False},),
    )


def deep_decision(n_layers: int = 200) -> Decision:
    """Many layers with long names, and many implementations."""
    rng = np.random.default_rng(0)
    rates = 10 ** rng.uniform(-2.5, 1.0, n_layers)
    layers = tuple(
        _layer(
            f"backbone.stage{i // 50}.denseblock{i % 50}.conv_depthwise_separable",
            i,
            int(1e5 + 1e7 * rng.random()),
            None if i == 0 else float(rates[i]),
            "snn" if i and rates[i] < 0.05 else "ann",
        )
        for i in range(n_layers)
    )
    base = image_decision()
    return replace(base, layers=layers, partition={layer.name: layer.mode for layer in layers})


def small_network(n_layers: int = 13) -> Network:
    """A chain of convolutions, named like VGG-16's trunk."""
    names = [f"features.{2 * i}" for i in range(n_layers)]
    layers = tuple(
        Layer(name=name, kind="conv", n_synapses=10**7 * (i + 1), n_synapses_exact=10**7 * (i + 1))
        for i, name in enumerate(names)
    )
    edges = tuple(
        Edge(left, right, 1) for left, right in zip(["input", *names[:-1]], names, strict=True)
    )
    return Network(layers, edges, (names[-1],), Origin("torch", "VGG-16 trunk"))


def small_activity(network: Network) -> ActivityProfile:
    """Zero fractions that rise with depth, with a spread, and temporal sparsity."""
    layers = {
        layer.name: LayerActivity(
            signal="analog",
            n_samples=40,
            n_timesteps=1,
            zero_fraction=0.0 if i == 0 else 0.4 + 0.04 * i,
            synaptic_operations=0.5 * layer.n_synapses,
            zero_fraction_std=0.01 * i,
            temporal_sparsity={0.0: 0.3 + 0.03 * i, 0.1: 0.5 + 0.03 * i, 0.5: 0.6 + 0.03 * i},
        )
        for i, layer in enumerate(network.synaptic_layers)
    }
    return ActivityProfile(layers, n_samples=40, origin="40 photographs")
