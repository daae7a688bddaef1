"""What Chen 2019 prints about Eyeriss v2, and the model beside it: :func:`table`.

The running text of the paper was read; its Table VI was not. Values that stand only there are
``recalled``, and agree with ratios of the text: 12.6x for MobileNet over AlexNet, 5.3x and 3.9x for
the sparse ones, and GOPS/W = 2 x MACs x inference/J.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tospike.activity import ActivityProfile
from tospike.activity.profile import LayerActivity
from tospike.architecture import load_architecture
from tospike.machines.energy import price_run
from tospike.machines.eyeriss_v2.simulate import simulate
from tospike.machines.eyeriss_v2.tensors import with_drawn_traces
from tospike.machines.record import MachineRun, Workload
from tospike.machines.row_stationary import benchmarks
from tospike.network import Network
from tospike.tables import Column, Table, Value


class Printed(NamedTuple):
    """One benchmark: inferences per second and per joule (of the chip), where they stand."""

    network: str
    per_second: float
    per_joule: float
    method: str
    locator: str


PRINTED = (
    Printed("AlexNet", 102.1, 174.8, "recalled", "Table VI"),
    Printed("sparse AlexNet", 278.7, 664.6, "recalled", "Table VI"),
    Printed("MobileNet", 1282.1, 1969.8, "recalled", "Table VI"),
    Printed("sparse MobileNet", 1470.6, 2560.3, "printed", "abstract"),
)
#: MACs of one inference, V-A: "724.4M MACs" and "49.2M MACs"
PRINTED_MACS = {"AlexNet": 724.4e6, "MobileNet": 49.2e6}
#: MB of DRAM traffic of the convolutions, V-B
PRINTED_CONV_MB = {"AlexNet": 7.1, "sparse AlexNet": 4.6}

#: share of zeros at the input of each convolution: Chen 2017 (JSSC), table of AlexNet; recalled.
#: The fully connected layers wait for weights, so that their inputs do not change the cycles.
ALEXNET_ZEROS = (0.0001, 0.387, 0.725, 0.793, 0.776, 0.7, 0.7, 0.7)
#: share of zero weights of a pruned AlexNet: Han 2015, Table 4; recalled. Eyeriss v2 used another
#: pruning (Yang 2017), whose densities per layer are not known here.
ALEXNET_WEIGHT_ZEROS = (0.16, 0.62, 0.65, 0.63, 0.63, 0.91, 0.91, 0.75)


def _profile(network: Network, zeros: Mapping[str, float], origin: str) -> ActivityProfile:
    layers = {
        name: LayerActivity(
            signal="analog",
            n_samples=0,
            n_timesteps=1,
            zero_fraction=zero,
            synaptic_operations=(1 - zero) * network[name].n_synapses_exact,
        )
        for name, zero in zeros.items()
    }
    return ActivityProfile(layers, n_samples=0, origin=origin, measured=False)


def workloads() -> Iterator[tuple[str, str, Workload]]:
    """(benchmark, what is assumed, workload) for each row of :func:`table`."""
    alexnet = benchmarks.alexnet()
    names = [layer.name for layer in alexnet.synaptic_layers]
    zeros = dict(zip(names, ALEXNET_ZEROS, strict=True))
    profile = _profile(alexnet, zeros, "Chen 2017, zeros per layer")
    pruned = dict(zip(names, ALEXNET_WEIGHT_ZEROS, strict=True))
    yield "AlexNet", "zeros of Chen 2017", Workload(alexnet, profile)
    yield (
        "sparse AlexNet",
        "zeros of Chen 2017, weights of Han 2015",
        Workload(alexnet, profile, weight_zeros=pruned),
    )
    mobile = benchmarks.mobilenet_half()
    for share in (0.0, 0.5):
        same = {layer.name: share for layer in mobile.layers}
        same["conv1"] = 0.0
        text = f"{share:.0%} zeros at every layer but the first"
        yield "MobileNet", text, Workload(mobile, _profile(mobile, same, text))
    both = {layer.name: 0.5 for layer in mobile.layers}
    yield (
        "sparse MobileNet",
        "50% zeros and 50% zero weights",
        Workload(mobile, _profile(mobile, same, text), weight_zeros=both),
    )


def chip_energy(run: MachineRun) -> float:
    """Joule of a run without the DRAM, as the paper counts it."""
    return sum(joule for part, joule in price_run(run).components.items() if part != "dram")


def table() -> Table:
    """Published against simulated throughput and efficiency, with the mean and with draws."""
    chip = load_architecture("eyeriss_v2")
    printed = {row.network: row for row in PRINTED}
    rows: list[Mapping[str, Value]] = []
    for name, assumed, workload in workloads():
        mean = simulate(workload, chip)
        drawn = simulate(with_drawn_traces(workload), chip)
        speed = 1 / drawn.latency
        efficiency = 1 / chip_energy(drawn)
        rows.append(
            {
                "network": name,
                "assumed": assumed,
                "printed_speed": printed[name].per_second,
                "mean_speed": 1 / mean.latency,
                "speed": speed,
                "speed_off": 100 * (speed / printed[name].per_second - 1),
                "printed_efficiency": printed[name].per_joule,
                "efficiency": efficiency,
                "efficiency_off": 100 * (efficiency / printed[name].per_joule - 1),
            }
        )
    return Table(
        key="eyeriss_v2",
        title="Eyeriss v2, published and simulated, batch 1",
        columns=(
            Column("network", "network"),
            Column("assumed", "assumed"),
            Column("printed_speed", "published", "inf/s"),
            Column("mean_speed", "simulated, mean PE", "inf/s"),
            Column("speed", "simulated, slowest PE", "inf/s"),
            Column("speed_off", "deviation", "%", 2),
            Column("printed_efficiency", "published", "inf/J"),
            Column("efficiency", "simulated", "inf/J"),
            Column("efficiency_off", "deviation", "%", 2),
        ),
        rows=tuple(rows),
        assumptions=(
            "published values of all but sparse MobileNet are recalled (Table VI)",
            "zeros are drawn independently; 'mean PE' leaves out that PEs differ",
            "energy without DRAM, clock network and leakage",
        ),
        sources=("chen_2019_jetcas", "chen_2017_jssc", "chen_2016_isca", "han_2015"),
    )
