"""``Shape``: a layer as the nest of loops that a row-stationary machine maps."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tospike.errors import ModelError
from tospike.network import Layer, Network


@dataclass(frozen=True, slots=True)
class Shape:
    """Loop bounds of one layer, with the letters of the Eyeriss papers (ISCA 2016, Table I).

    groups : G. channels : C, filters : M, both of one group. rows, columns : R x S of a filter.
    out_rows, out_columns : E x F of an output map. stride_rows, stride_columns : U. images : N.
    A fully connected layer is a convolution with 1 x 1 kernels on 1 x 1 maps.
    """

    name: str
    groups: int
    channels: int
    filters: int
    rows: int
    columns: int
    out_rows: int
    out_columns: int
    stride_rows: int
    stride_columns: int
    images: int

    @property
    def in_rows(self) -> int:
        """Rows of an input map that are read, padding included (H)."""
        return self.rows_for(self.out_rows)

    @property
    def in_columns(self) -> int:
        """Columns of an input map that are read, padding included (W)."""
        return (self.out_columns - 1) * self.stride_columns + self.columns

    def rows_for(self, out_rows: float) -> int:
        """Input rows that ``out_rows`` neighbouring output rows need."""
        return int((out_rows - 1) * self.stride_rows + self.rows)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all images, padded positions counted."""
        return self.weights * self.out_rows * self.out_columns * self.images

    @property
    def weights(self) -> int:
        """Distinct filter words."""
        return self.groups * self.filters * self.channels * self.rows * self.columns

    @property
    def outputs(self) -> int:
        """Distinct output words of all images."""
        return self.groups * self.filters * self.out_rows * self.out_columns * self.images


def shapes(network: Network, batch: int, asked: str) -> tuple[Shape, ...]:
    """The layers of a network that have MACs. ``asked`` begins the error message.

    Raises :class:`ModelError` with every layer that a row-stationary machine cannot map.
    """
    found, reasons = [], []
    if batch < 1:
        reasons.append(f"the batch has {batch} inferences; at least 1 is needed")
    for layer in network.synaptic_layers:
        if not layer.n_synapses:
            continue
        fault = _fault(layer)
        if fault:
            reasons.append(f"layer {layer.name!r}: {fault}")
        else:
            found.append(_shape(layer, batch))
    if not found and not reasons:
        reasons.append(f"{network.origin.name} has no layer with MACs")
    if reasons:
        raise ModelError(
            asked,
            allowed="convolutions with one or two spatial dimensions and linear layers",
            fix="simulate a network without the listed layers",
            reasons=reasons,
        )
    return tuple(found)


def _fault(layer: Layer) -> str:
    """Why a layer cannot be mapped; "" if it can."""
    if layer.kind == "linear":
        return "" if layer.n_weights else "a linear layer without weights"
    if layer.kind != "conv":
        return f"{layer.kind} has no row-stationary mapping"
    if layer.transposed:
        return "transposed convolution; insert its zeros and give a plain one"
    if len(layer.kernel) not in (1, 2):
        return f"{len(layer.kernel)} spatial dimensions; 1 or 2 are mapped"
    if any(d != 1 for d in layer.dilation):
        return f"dilation {layer.dilation}; the rows of a window must be neighbours"
    return ""


def _shape(layer: Layer, batch: int) -> Shape:
    if layer.kind == "linear":
        inputs, outputs = _linear_sizes(layer)
        images = layer.n_synapses // (inputs * outputs) * batch
        return Shape(layer.name, 1, inputs, outputs, 1, 1, 1, 1, 1, 1, images)
    one = len(layer.kernel) == 1
    rows, columns = (1, layer.kernel[0]) if one else layer.kernel
    u_rows, u_columns = (1, layer.stride[0]) if one else layer.stride
    spatial = layer.output_shape[1:]
    e, f = (1, spatial[0]) if one else (spatial[0], spatial[1])
    return Shape(
        name=layer.name,
        groups=layer.groups,
        channels=layer.input_shape[0] // layer.groups,
        filters=layer.output_shape[0] // layer.groups,
        rows=rows,
        columns=columns,
        out_rows=e,
        out_columns=f,
        stride_rows=u_rows,
        stride_columns=u_columns,
        images=batch * layer.calls,
    )


def _linear_sizes(layer: Layer) -> tuple[int, int]:
    inputs = layer.input_shape[-1] if layer.input_shape else layer.n_inputs
    return inputs, layer.n_weights // inputs


def two_columns(network: Network) -> Network:
    """The network with every ungrouped convolution cut into two halves of its filters.

    The halves ("conv1_a", "conv1_b") run one after the other and both read all input maps, as the
    two GPUs of the original AlexNet did and as nn_dataflow maps it. Layers keep their order;
    linear layers and grouped convolutions stay as they are. Edges are left out.
    """
    layers: list[Layer] = []
    for layer in network.layers:
        if layer.kind == "conv" and layer.groups == 1 and layer.output_shape[0] % 2 == 0:
            layers += [_half(layer, "a"), _half(layer, "b")]
        else:
            layers.append(layer)
    return replace(network, layers=tuple(layers), edges=(), outputs=())


def _half(layer: Layer, suffix: str) -> Layer:
    return replace(
        layer,
        name=f"{layer.name}_{suffix}",
        output_shape=(layer.output_shape[0] // 2, *layer.output_shape[1:]),
        n_synapses=layer.n_synapses // 2,
        n_synapses_exact=layer.n_synapses_exact // 2,
        n_neurons=layer.n_neurons // 2,
        n_weights=layer.n_weights // 2,
        n_biases=layer.n_biases // 2,
    )
