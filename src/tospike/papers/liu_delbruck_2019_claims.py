"""Liu & Delbruck 2019: one function per claim."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tospike.constant import Constant
from tospike.equations import liu_delbruck_2019 as equations
from tospike.network import Layer
from tospike.papers.claim import Claim, Convention, Recomputed
from tospike.papers.counted import counted
from tospike.papers.dram import DramDevice, dram_devices
from tospike.papers.inputs import inputs_of


def given() -> Mapping[str, Constant]:
    """The inputs of the paper."""
    return inputs_of("liu_delbruck_2019")


def value(key: str) -> float:
    """One input."""
    return given()[key].value


def spike_rate() -> float:
    """Fig. 2: mean rate in Hz at which synaptic events use the brain's power."""
    rate = equations.brain_spike_rate(
        power_w=value("brain_power"),
        energy_per_synaptic_event=value("synaptic_energy"),
        synapses_per_neuron=value("fan_out"),
        n_neurons=value("brain_neurons"),
    )
    return float(rate)


def brain_efficiency(claim: Claim) -> Recomputed:
    """I: 100 fJ per synaptic update in TOp/s/W."""

    def tera(operations: float) -> float:
        found = equations.operations_per_joule(
            energy_per_event=value("synaptic_energy"), operations_per_event=operations
        )
        return float(found) / 1e12

    operations = value("operations_per_event")
    found = tera(operations)
    return Recomputed(
        computed=found,
        arithmetic=f"{operations:g} Op / {value('synaptic_energy'):g} J = {found:g} TOp/s/W",
        why=(
            f"The paper's own note counts a synaptic accumulation as {operations:g} Op, which "
            f"makes {found:g} TOp/s/W. The comparison with accelerators, whose MACs count 2 Op, "
            "needs the same count; the brain is then twice as far ahead."
        ),
        conventions=(
            Convention(
                "one operation per synaptic event",
                tera(1.0),
                "1 Op / 100 fJ gives the printed number.",
            ),
        ),
    )


def brain_input_rate(claim: Claim) -> Recomputed:
    """I: mean input rate of a neuron in kHz."""
    rate, fan_in = spike_rate(), value("fan_out")
    return Recomputed(
        computed=rate * fan_in / 1e3,
        arithmetic=(
            f"{value('brain_power'):g} W / (100 fJ x {fan_in:g} synapses x "
            f"{value('brain_neurons'):g} neurons) = {rate:g} Hz; x {fan_in:g} inputs = "
            f"{rate * fan_in / 1e3:g} kHz"
        ),
        why="Rate and fan-in give another input rate.",
    )


def fan_in(claim: Claim) -> Recomputed:
    """I: fan-in of a neuron that sees 100 maps through 5x5 kernels."""
    maps, kernel = int(value("fan_in_maps")), int(value("fan_in_kernel"))
    layer = Layer(
        name="one output pixel",
        kind="conv",
        input_shape=(maps, kernel, kernel),
        output_shape=(1, 1, 1),
        kernel=(kernel, kernel),
        n_synapses=maps * kernel * kernel,
        n_neurons=1,
        n_inputs=maps * kernel * kernel,
        n_weights=maps * kernel * kernel,
    )
    return Recomputed(
        computed=layer.reuse.psum,
        arithmetic=f"{maps} x {kernel} x {kernel} synapses / 1 neuron = {layer.reuse.psum:g}",
        why="Maps and kernel give another fan-in.",
    )


def speedup(claim: Claim) -> Recomputed:
    """VI: speed-up of skipping 80 % of the MACs."""
    zeros = value("quantised_zeros")
    found = float(equations.skipping_speedup(zero_fraction=zeros))
    measured = value("nullhop_efficiency")
    needed = 1.0 - 1.0 / (claim.value or math.nan)
    return Recomputed(
        computed=found,
        arithmetic=f"1 / (1 - {zeros:g}) = {found:g}",
        why=(
            f"With 4 of 5 MACs skipped one of five is left: a speed-up of {found:g}. A factor of "
            f"{claim.value:g} takes {needed:.0%} zeros; NullHop's measured "
            f"{measured:.0%} takes {1 - 1 / measured:.0%}. {zeros:g} / {1 - zeros:.1f} = 4 is the "
            "number of skipped MACs per executed one, which is no speed-up: in the same section "
            "400 % means four times the work per MAC unit."
        ),
    )


def nullhop_efficiency(claim: Claim) -> Recomputed:
    """VI: efficiency of NullHop in %."""
    found = 100.0 * value("nullhop_efficiency")
    return Recomputed(
        computed=found,
        arithmetic=f"abstract of the NullHop paper: {found:g} % on VGG-19",
        why=(
            f"The NullHop paper reports {found:g} %, {100 * (1 - found / 400):.0f} % below the "
            "rounded number."
        ),
        conventions=(
            Convention(
                "'almost' as rounding to one significant digit",
                100.0 * round(found / 100.0),
                f"{found:g} % rounded to hundreds.",
            ),
        ),
        sources=("aimar_2018",),
    )


def throughput() -> float:
    """NullHop on VGG-19 in Op/s: 2 Op x MAC units x clock x efficiency."""
    return 2.0 * value("nullhop_macs") * value("nullhop_clock") * value("nullhop_efficiency")


def nullhop_throughput(claim: Claim) -> Recomputed:
    """VI: throughput in GOp/s."""
    found = throughput() / 1e9
    return Recomputed(
        computed=found,
        arithmetic=(
            f"2 Op x {value('nullhop_macs'):g} MACs x {value('nullhop_clock') / 1e9:g} GHz x "
            f"{value('nullhop_efficiency'):g} = {found:.0f} GOp/s (abstract: over 450)"
        ),
        why="MAC units, clock and efficiency give another throughput.",
        sources=("aimar_2018",),
    )


def nullhop_core(claim: Claim) -> Recomputed:
    """VI: core efficiency; a power simulation that neither paper prints."""
    core = throughput() / value("nullhop_core")
    return Recomputed(
        is_input=True,
        why=(
            "The result of a power simulation at 28 nm (NullHop paper: over 3 TOp/s/W); neither "
            f"paper's abstract or text prints the power. At {throughput() / 1e9:.0f} GOp/s it "
            f"stands for {1e3 * core:.0f} mW."
        ),
        sources=("aimar_2018",),
    )


def nullhop_area(claim: Claim) -> Recomputed:
    """VI: area efficiency in GOp/s/mm2."""
    area = value("nullhop_area")
    found = throughput() / 1e9 / area
    rounded = value("system_throughput") / 1e9 / value("system_area")
    return Recomputed(
        computed=found,
        arithmetic=f"{throughput() / 1e9:.0f} GOp/s / {area:g} mm2 = {found:.1f} GOp/s/mm2",
        why=(
            f"Throughput and core area of the NullHop paper give {found:.0f}, a quarter less than "
            "'about 100'."
        ),
        conventions=(
            Convention(
                "the rounded 500 GOp/s and 6 mm2 of the same paragraph",
                rounded,
                f"500 / 6 = {rounded:.0f}, at the edge of what 'about 100' allows.",
            ),
        ),
        sources=("aimar_2018",),
    )


@dataclass(frozen=True, slots=True)
class SystemEstimate:
    """NullHop with one DRAM chip: frames and bytes per second, and power in watt."""

    device: DramDevice
    frames: float
    read_bytes: float
    written_bytes: float
    core_w: float
    access_w: float
    standby_w: float

    @property
    def efficiency(self) -> float:
        """Op/s/W of core and DRAM."""
        return throughput() / (self.core_w + self.access_w + self.standby_w)


def system_estimate(device: DramDevice) -> SystemEstimate:
    """VGG-19 on NullHop at its throughput, with one chip of DRAM read and written row by row.

    Per frame: every kernel once; every input map once per pass of 128 output maps and every
    output map once, both as sparsity map and non-zero values (the image uncompressed); all maps
    as sparse as NullHop's efficiency says, 1 - 1/3.68; pooling after the store is not credited.
    Power of the DRAM: energy of the bursts plus active standby; I/O and termination are left out.
    """
    layers = [layer for layer in counted("vgg19_convolutions").network if layer.kind == "conv"]
    bits = int(value("nullhop_bits"))
    zeros = 1.0 - 1.0 / value("nullhop_efficiency")
    read = written = 0.0
    for index, layer in enumerate(layers):
        passes = math.ceil(layer.output_shape[0] / value("nullhop_maps"))
        stored = (
            equations.sparsity_map_bits(
                n_pixels=layer.n_inputs, zero_fraction=zeros, pixel_bits=bits
            )
            if index
            else layer.n_inputs * bits
        )
        read += layer.n_weights * bits + float(stored) * passes
        written += float(
            equations.sparsity_map_bits(
                n_pixels=layer.n_neurons, zero_fraction=zeros, pixel_bits=bits
            )
        )
    frames = throughput() / (2.0 * sum(layer.n_synapses for layer in layers))
    read_energy, write_energy = device.read_per_bit, device.write_per_bit
    if read_energy is None or write_energy is None or device.standby_w is None:
        access, standby = math.nan, math.nan
    else:
        access, standby = frames * (read * read_energy + written * write_energy), device.standby_w
    return SystemEstimate(
        device=device,
        frames=frames,
        read_bytes=frames * read / 8.0,
        written_bytes=frames * written / 8.0,
        core_w=throughput() / value("nullhop_core"),
        access_w=access,
        standby_w=standby,
    )


def ddr3_estimates() -> tuple[SystemEstimate, ...]:
    """One estimate per DDR3 chip with known currents, in the order of the data file."""
    return tuple(
        system_estimate(device)
        for device in dram_devices()
        if device.device.startswith("DDR3") and device.energy_read is not None
    )


def nullhop_system(claim: Claim) -> Recomputed:
    """VI: core and DDR3 together, in TOp/s/W, from traffic and DRAM currents.

    Takes the median over the DDR3 chips; see :func:`system_estimate` for what is assumed.
    """
    found = sorted(ddr3_estimates(), key=_efficiency)
    middle = found[len(found) // 2]
    values = [estimate.efficiency / 1e12 for estimate in found]
    traffic = middle.read_bytes + middle.written_bytes
    second = throughput() / (middle.core_w + middle.access_w + 2.0 * middle.standby_w)
    return Recomputed(
        computed=middle.efficiency / 1e12,
        arithmetic=(
            f"{throughput() / 1e9:.0f} GOp/s / ({1e3 * middle.core_w:.0f} mW core + "
            f"{1e3 * middle.access_w:.0f} mW for {traffic / 1e9:.2f} GB/s of VGG-19 + "
            f"{1e3 * middle.standby_w:.0f} mW standby of one {middle.device.device}) = "
            f"{middle.efficiency / 1e12:.2f} TOp/s/W; {values[0]:.2f} to {values[-1]:.2f} over "
            f"{len(values)} DDR3 chips. An estimate: the core's 3 TOp/s/W is an input, I/O power "
            f"is left out, and the standby of a second chip would make it {second / 1e12:.2f}"
        ),
        why=(
            "Core power and the estimated power of one DDR3 chip give "
            f"{values[0]:.2f} to {values[-1]:.2f} TOp/s/W; the paper does not print the DRAM power."
        ),
        sources=("aimar_2018", "dram_specifications"),
    )


def _efficiency(estimate: SystemEstimate) -> float:
    return estimate.efficiency


def delta_traffic(claim: Claim) -> Recomputed:
    """VII: do the published reductions of a delta network lie within 5x to 100x?"""
    names = ("delta_wsj", "delta_tidigits", "delta_driving")
    found = [value(name) for name in names]
    low, high = value("delta_low"), value("delta_high")
    return Recomputed(
        holds=all(low <= factor <= high for factor in found),
        arithmetic=(
            f"Neil 2017 reports {', '.join(f'{factor:g}x' for factor in found)}; all within "
            f"{low:g}x to {high:g}x"
        ),
        why=f"Neil 2017 reports {', '.join(f'{factor:g}x' for factor in found)}.",
        sources=("neil_2017",),
    )


def deltarnn(claim: Claim) -> Recomputed:
    """VII: DeltaRNN at the wall, in GOp/s/W."""
    found = value("deltarnn_throughput") / value("deltarnn_power") / 1e9
    return Recomputed(
        computed=found,
        arithmetic=(
            f"{value('deltarnn_throughput') / 1e9:g} GOp/s / {value('deltarnn_power'):g} W = "
            f"{found:g} GOp/s/W"
        ),
        why="Throughput and power give another efficiency.",
    )


def edgedrnn_parameters(claim: Claim) -> Recomputed:
    """Parameters of the 2L-768H GRU in M (biases excluded)."""
    network = counted("gru_2l_768h").network
    found = network.n_weights / 1e6
    parts = " + ".join(str(layer.n_weights) for layer in network.synaptic_layers)
    return Recomputed(
        computed=found,
        arithmetic=f"40 inputs, two layers of 768: {parts} = {found:.2f} M weights",
        why="The layer table gives another number.",
        sources=("gao_2020",),
    )


def edgedrnn_latency(claim: Claim) -> Recomputed:
    """Latency of one step of the 2L-768H GRU at the mean effective throughput, in ms."""
    macs = counted("gru_2l_768h").macs
    found = 1e3 * 2.0 * macs / value("edgedrnn_throughput")
    return Recomputed(
        computed=found,
        arithmetic=(
            f"2 x {macs / 1e6:.2f} M / {value('edgedrnn_throughput') / 1e9:g} GOp/s = "
            f"{found:.3f} ms"
        ),
        why="Operations and throughput give another latency.",
        sources=("gao_2020",),
    )


def edgedrnn_efficiency(claim: Claim) -> Recomputed:
    """VII: EdgeDRNN at the wall, in GOp/s/W."""
    found = value("edgedrnn_throughput") / value("edgedrnn_power") / 1e9
    return Recomputed(
        computed=found,
        arithmetic=(
            f"{value('edgedrnn_throughput') / 1e9:g} GOp/s / {value('edgedrnn_power'):g} W = "
            f"{found:.2f} GOp/s/W"
        ),
        why="Throughput and power give another efficiency.",
        sources=("gao_2020",),
    )


def cnn_area_efficiency(claim: Claim) -> Recomputed:
    """VIII: area efficiency of CNN accelerators in GOp/s/mm2."""
    found = value("cnn_throughput") / value("cnn_area") / 1e9
    return Recomputed(
        computed=found,
        arithmetic=(
            f"{value('cnn_throughput') / 1e9:g} GOp/s / {value('cnn_area'):g} mm2 = {found:g} "
            "GOp/s/mm2"
        ),
        why="Throughput and area give another efficiency.",
    )


def cell_area(claim: Claim) -> Recomputed:
    """V: does 20x lie between the extremes of published cell sizes?"""
    low = value("sram_cell_low") / value("dram_cell_high")
    high = value("sram_cell_high") / value("dram_cell_low")
    printed = value("sram_over_dram")
    return Recomputed(
        holds=low <= printed <= high,
        arithmetic=(
            f"{given()['sram_cell_low'].quoted} / {given()['dram_cell_low'].quoted} (recalled cell "
            f"sizes) = {low:.0f}x to {high:.0f}x, which contains {printed:g}x"
        ),
        why=f"Cell sizes give {low:.0f}x to {high:.0f}x.",
        sources=("memory_cells",),
    )


def zynq_dram() -> DramDevice:
    """The DDR3 at the speed of the Zynq-7000 board of Fig. 3."""
    return next(device for device in dram_devices() if device.device.startswith("DDR3-1066"))


def row_change(claim: Claim) -> Recomputed:
    """V, Fig. 3: a random row against the next word of a burst, in throughput."""
    device = zynq_dram()
    found = device.slowdown_per_beat
    return Recomputed(
        computed=found,
        arithmetic=(
            f"{device.device}: tRC {1e9 * device.trc:.2f} ns / one data beat "
            f"{1e9 * device.beat:.3f} ns = {found:.0f}; only {device.slowdown_per_burst:.2f} if "
            "the whole burst is useful; one bank"
        ),
        why="Row cycle and data beat give another factor.",
        conventions=(
            Convention(
                "the whole burst useful",
                device.slowdown_per_burst,
                f"A burst of {device.burst_length} words per row.",
            ),
        ),
        sources=("dram_specifications",),
    )
