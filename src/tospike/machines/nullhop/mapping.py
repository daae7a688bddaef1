"""How a layer is laid out on the chip: MACs per output map, passes, fused ReLU and pooling.

The MACs form clusters, one controller each. All MACs of a controller take the same input pixel;
each keeps the kernels of one output map. Where a layer has fewer output maps than MACs, or more
kernels per map than one MAC's memory holds, 2, 4, ... MACs share one output map: each controller
group then gets its own block of input channels, and partial sums are added at the end. More
output maps than fit are computed in further passes over the input.

Source: the rule of the chip's public driver (``macs_per_channel``, ``contiguous_kernels``,
``num_pass``), which rounds for powers of two; here it is written for any number of maps.
"""

from __future__ import annotations

from dataclasses import dataclass

from tospike.errors import ModelError
from tospike.machines.nullhop.chip import Chip
from tospike.network import Layer, Network

RECTIFIERS = frozenset({"relu", "relu6"})
#: folded into the weights, or without effect in inference: the chip sees nothing of them
_FOLDED = frozenset({"batch_norm", "dropout", "feature_dropout", "identity", "copy", "clone"})


@dataclass(frozen=True, slots=True)
class Plan:
    """One layer on the chip. Numbers of channels are per group of a grouped convolution.

    rows, columns : of the input; out_rows, out_columns : of what the chip computes, before
        pooling, and at stride 1 where strides are not native. block : input channels of one
        controller group; sharing : MACs that share an output map. maps : output maps of a full
        pass. kernel_words : weights of a full pass, padding to whole blocks included.
    pool : side of the pooling behind the MACs, 1 without. rectified : ReLU there. target : the
        synaptic layer that reads what the chip writes, or None.
    """

    layer: Layer
    groups: int
    channels: int
    outputs: int
    rows: int
    columns: int
    kernel: int
    padding: int
    stride: int
    out_rows: int
    out_columns: int
    sharing: int
    block: int
    maps: int
    passes: int
    pool: int
    rectified: bool
    target: str | None

    @property
    def blocks(self) -> int:
        """Controller groups that have channels."""
        return -(-self.channels // self.block)

    @property
    def active_pe(self) -> int:
        """MACs with work in a full pass."""
        return min(self.outputs, self.maps) * self.blocks

    def maps_of(self, number: int) -> int:
        """Output maps of pass ``number``."""
        return min(self.maps, self.outputs - number * self.maps)

    def kernel_words(self, number: int) -> int:
        """16-bit words of weights and biases that are loaded for pass ``number``."""
        weights = self.maps_of(number) * self.block * self.sharing * self.kernel**2
        return weights + self.maps * self.sharing


def plan_network(network: Network, chip: Chip) -> tuple[Plan, ...]:
    """A plan for every synaptic layer; raises :class:`ModelError` with all that do not fit."""
    reasons: list[str] = []
    plans = []
    after = _After(network)
    for layer in network.synaptic_layers:
        fault = _fault(layer, chip)
        plan = None if fault else _plan(layer, chip, after)
        if plan is None:
            reasons.append(f"{layer.name}: {fault or _does_not_fit(layer, chip)}")
        else:
            plans.append(plan)
    if not plans and not reasons:
        reasons.append("the network has no layer with synapses")
    if reasons:
        raise ModelError(
            f"map {network.origin.name!r} on a NullHop-type machine",
            received=f"{len(reasons)} of {len(network.synaptic_layers)} layers do not fit",
            allowed=f"2-D convolutions with square kernels up to {chip.max_kernel}x"
            f"{chip.max_kernel}, and fully connected layers",
            fix="change the listed layers or the architecture, or simulate the layers that fit",
            reasons=reasons,
        )
    return tuple(plans)


def _fault(layer: Layer, chip: Chip) -> str:
    """Why the chip cannot compute this kind of layer at all; empty if it can."""
    if layer.kind not in ("conv", "linear"):
        return f"a layer of kind {layer.kind!r}; there are convolutions and linear layers only"
    if layer.calls > 1:
        return f"runs {layer.calls} times per inference (shared weights or time steps)"
    if layer.kind == "linear":
        return ""
    if layer.transposed:
        return "a transposed convolution"
    if len(layer.kernel) != 2 or len(layer.input_shape) != 3:
        return f"a convolution in {len(layer.kernel)} dimension(s); 2 are needed"
    high, wide = layer.kernel
    if high != wide:
        side = max(layer.kernel)
        return f"kernel {high}x{wide} is not square; pad it with zeros to {side}x{side}"
    if high > chip.max_kernel:
        return (
            f"kernel {high}x{wide} is larger than {chip.max_kernel}x{chip.max_kernel}; split it "
            "into smaller kernels whose results are added, or raise max_kernel"
        )
    if any(d != 1 for d in layer.dilation):
        return f"dilation {layer.dilation}; fill the kernel with zeros"
    if len(set(layer.padding)) > 1 or len(set(layer.stride)) > 1:
        return f"padding {layer.padding} or stride {layer.stride} differs between the axes"
    if layer.padding and layer.padding[0] >= high:
        return f"padding {layer.padding[0]} is not smaller than the kernel"
    return ""


def _does_not_fit(layer: Layer, chip: Chip) -> str:
    channels, kernel = _channels(layer)[0], _kernel(layer)
    words = _block(channels, chip.clusters) * kernel**2
    return (
        f"{channels} input channels x {kernel}x{kernel} weights per output map need {words} words "
        f"in each of {chip.clusters} MACs; the kernel memory holds {chip.kernel_words}. Use fewer "
        f"input channels, or a kernel memory of at least {2 * words} byte"
    )


def _channels(layer: Layer) -> tuple[int, int]:
    """Input channels and output maps of one group."""
    if layer.kind == "linear":
        return layer.input_shape[-1], layer.output_shape[-1]
    return layer.input_shape[0] // layer.groups, layer.output_shape[0] // layer.groups


def _kernel(layer: Layer) -> int:
    return layer.kernel[0] if layer.kind == "conv" else 1


def _block(channels: int, sharing: int) -> int:
    """Contiguous input channels of one of ``sharing`` MACs: channels come in powers of two."""
    if sharing == 1:
        return channels
    power = 1 << max(0, channels - 1).bit_length()
    return max(1, power // sharing)


def _plan(layer: Layer, chip: Chip, after: _After) -> Plan | None:
    """The layout of one layer; None if its kernels do not fit."""
    channels, outputs = _channels(layer)
    kernel = _kernel(layer)
    sharing = _sharing(channels, outputs, kernel, chip)
    if sharing is None:
        return None
    maps = chip.n_pe // sharing
    rows, columns = layer.input_shape[1:] if layer.kind == "conv" else (1, _positions(layer))
    padding = layer.padding[0] if layer.padding else 0
    asked = layer.stride[0] if layer.stride else 1
    stride = asked if chip.native_stride else 1
    found = after.of(layer.name, chip.fused_pool)
    thinned = stride != asked
    return Plan(
        layer=layer,
        groups=layer.groups if layer.kind == "conv" else 1,
        channels=channels,
        outputs=outputs,
        rows=rows,
        columns=columns,
        kernel=kernel,
        padding=padding,
        stride=stride,
        out_rows=(rows + 2 * padding - kernel) // stride + 1,
        out_columns=(columns + 2 * padding - kernel) // stride + 1,
        sharing=sharing,
        block=_block(channels, sharing),
        maps=maps,
        passes=-(-outputs // maps),
        pool=chip.fused_pool if found.pooled and not thinned else 1,
        rectified=found.rectified,
        target=None if thinned else found.target,
    )


def _sharing(channels: int, outputs: int, kernel: int, chip: Chip) -> int | None:
    """MACs per output map: as many as the maps of one pass leave free, more if kernels need it.

    A power of two that divides the number of clusters. The driver rounds up here, which loses maps
    for numbers that are no powers of two; rounded down it is the same for those.
    """
    per_pass = -(-outputs // -(-outputs // chip.n_pe))
    free = chip.n_pe // per_pass
    possible = [
        sharing
        for sharing in (1 << n for n in range(chip.clusters.bit_length()))
        if chip.clusters % sharing == 0
    ]
    fitting = [s for s in possible if _block(channels, s) * kernel**2 <= chip.kernel_words]
    if not fitting:
        return None
    return max(min(fitting), max(s for s in possible if s <= free))


def _positions(layer: Layer) -> int:
    n = 1
    for size in layer.input_shape[:-1]:
        n *= size
    return n


@dataclass(frozen=True, slots=True)
class _Behind:
    pooled: bool
    rectified: bool
    target: str | None


class _After:
    """What follows a layer, as far as the chip does it itself."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.next: dict[str, list[str]] = {}
        for edge in network.edges:
            self.next.setdefault(edge.source, []).append(edge.target)

    def of(self, name: str, pool: int) -> _Behind:
        """Follow batch norm, ReLU and one pooling of ``pool`` x ``pool``."""
        pooled = rectified = False
        while True:
            behind = sorted(set(self.next.get(name, [])))
            if len(behind) != 1:
                break
            layer = self.network[behind[0]]
            if layer.kind in RECTIFIERS or _clamps(layer):
                rectified = True
            elif layer.kind == "max_pool" and not pooled and _halves(layer, pool):
                pooled = True
            elif layer.kind not in _FOLDED:
                break
            name = layer.name
        targets = [self.network[n] for n in sorted(set(self.next.get(name, [])))]
        target = next((layer.name for layer in targets if layer.synaptic), None)
        return _Behind(pooled, rectified, target)


def _clamps(layer: Layer) -> bool:
    """True for a clamp at 0 from below."""
    return layer.kind in ("clamp", "hardtanh") and layer.extra.get("min") == 0


def _halves(layer: Layer, pool: int) -> bool:
    """True if a pooling could be ``pool`` x ``pool`` without overlap: its window is not known."""
    if len(layer.input_shape) != 3 or pool < 2:
        return False
    return all(
        after == before // pool
        for before, after in zip(layer.input_shape[1:], layer.output_shape[1:], strict=True)
    )
