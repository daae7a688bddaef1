"""``ZooEntry`` and ``Printed``: a published topology and the numbers that its paper prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tospike.errors import ConstantError
from tospike.sources import SOURCES

#: what a printed number counts
Quantity = Literal[
    "macs",  # all multiply-accumulates of one inference
    "conv_macs",  # those of convolutions only
    "fc_macs",  # those of fully connected layers only
    "parameters",  # weights, biases and scale and shift of norms
    "weights",  # weights of synaptic layers, without biases and norms
    "conv_weights",
    "fc_weights",
    "layers",  # layers with weights; shortcut projections not counted
    "memory_bytes",  # 8-bit parameters plus the two largest adjacent activations
]
#: "printed": read in the source; "recalled": quoted from memory, not yet checked against it;
#: "derived": exact arithmetic on the layer table of the source
Method = Literal["printed", "derived", "recalled"]


@dataclass(frozen=True, slots=True)
class Printed:
    """One number of the literature, and how far ours may be from it.

    ``value`` in units of one (MAC, parameter, byte); ``tolerance`` relative: half of the last
    printed digit, or the difference in counting that ``note`` explains.
    """

    quantity: Quantity
    value: float
    tolerance: float
    quoted: str
    source: str
    locator: str
    method: Method = "printed"
    note: str = ""

    def __post_init__(self) -> None:
        if self.source not in SOURCES or not self.locator or not self.quoted:
            raise ConstantError(
                f"record the printed number {self.quoted!r} {self.quantity}",
                received=f"source {self.source!r}, locator {self.locator!r}",
                allowed="a source of the bibliography, a place in it, and the printed text",
            )


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """One topology. ``factory`` is "module:function" inside of the zoo, imported on use.

    ``input_shape`` is of one sample; ``variant`` says which one of several published variants this
    is, and what the paper leaves open.
    """

    name: str
    title: str
    factory: str
    input_shape: tuple[int, ...]
    printed: tuple[Printed, ...]
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Deviation:
    """A printed number beside ours; ``relative`` = ours / printed - 1."""

    printed: Printed
    ours: float

    @property
    def relative(self) -> float:
        """Signed relative deviation from the printed number."""
        return self.ours / self.printed.value - 1.0

    @property
    def agrees(self) -> bool:
        """True within the tolerance."""
        return abs(self.relative) <= self.printed.tolerance
