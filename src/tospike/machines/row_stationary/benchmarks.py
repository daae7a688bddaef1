"""The networks that the Eyeriss papers measure, as records: no torch, no weights."""

from __future__ import annotations

from tospike.network import Layer, Network
from tospike.network.network import Origin

#: (outputs, stride) of the 13 blocks of MobileNet at width 1.0 (Howard 2017, Table 1)
_BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)


def convolution(
    name: str,
    inputs: int,
    outputs: int,
    size: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> Layer:
    """A square convolution on maps of ``size`` x ``size``."""
    out = (size + 2 * padding - kernel) // stride + 1
    taps = [x * stride - padding + tap for x in range(out) for tap in range(kernel)]
    inside = sum(0 <= place < size for place in taps)
    filters = outputs * inputs // groups
    return Layer(
        name=name,
        kind="conv",
        input_shape=(inputs, size, size),
        output_shape=(outputs, out, out),
        kernel=(kernel, kernel),
        stride=(stride, stride),
        padding=(padding, padding),
        dilation=(1, 1),
        groups=groups,
        n_synapses=filters * kernel**2 * out**2,
        n_synapses_exact=filters * inside**2,
        n_neurons=outputs * out**2,
        n_inputs=inputs * size**2,
        n_weights=filters * kernel**2,
    )


def linear(name: str, inputs: int, outputs: int) -> Layer:
    """A fully connected layer."""
    weights = inputs * outputs
    return Layer(
        name=name,
        kind="linear",
        input_shape=(inputs,),
        output_shape=(outputs,),
        n_synapses=weights,
        n_synapses_exact=weights,
        n_neurons=outputs,
        n_inputs=inputs,
        n_weights=weights,
    )


def alexnet() -> Network:
    """AlexNet with two groups in layers 2, 4 and 5 on 227 x 227, as accelerator papers count it."""
    layers = (
        convolution("conv1", 3, 96, 227, 11, stride=4),
        convolution("conv2", 96, 256, 27, 5, padding=2, groups=2),
        convolution("conv3", 256, 384, 13, 3, padding=1),
        convolution("conv4", 384, 384, 13, 3, padding=1, groups=2),
        convolution("conv5", 384, 256, 13, 3, padding=1, groups=2),
        linear("fc1", 9216, 4096),
        linear("fc2", 4096, 4096),
        linear("fc3", 4096, 1000),
    )
    return Network(layers, (), (), Origin("records", "AlexNet"))


def mobilenet_half() -> Network:
    """MobileNet v1 with width multiplier 0.5 on 128 x 128, as Eyeriss v2 was benchmarked."""
    layers = [convolution("conv1", 3, 16, 128, 3, stride=2, padding=1)]
    channels, size = 16, 64
    for number, (outputs, stride) in enumerate(_BLOCKS, start=2):
        layers.append(
            convolution(f"conv{number}_dw", channels, channels, size, 3, stride=stride, padding=1,
                        groups=channels)
        )  # fmt: skip
        size //= stride
        layers.append(convolution(f"conv{number}_pw", channels, outputs // 2, size, 1))
        channels = outputs // 2
    layers.append(linear("fc", channels, 1000))
    return Network(tuple(layers), (), (), Origin("records", "MobileNet 0.5 on 128 x 128"))
