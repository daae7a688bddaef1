"""What the chips that papers name can leave out. A small table: what a time step costs on them.

Energies of idle updates are those that the chip's own paper prints; they are at its own node and
supply and are not scaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tospike.constant import Constant
from tospike.units import PJ


@dataclass(frozen=True, slots=True)
class Chip:
    """``steps``: "synchronous" chips advance all neurons in every time step, "asynchronous" ones
    know no time steps. ``update``: energy of one idle neuron and step, where it is printed."""

    key: str
    name: str
    steps: Literal["synchronous", "asynchronous"]
    text: str
    source: str
    locator: str
    update: Constant | None = None


_BARRIER = "all cores synchronise after every time step, and the neurons are updated in each"

_TABLE = (
    Chip(
        "loihi", "Loihi", "synchronous", _BARRIER, "davies_2018",
        "algorithmic time step and barrier synchronisation",
        Constant(
            52 * PJ, "J", 52 * PJ, 81 * PJ, "davies_2018",
            "table of pre-silicon energies, neuron update, inactive", "52 pJ", "recalled",
            spread="inactive (52 pJ) to active (81 pJ) neuron",
        ),
    ),
    Chip(
        "truenorth", "TrueNorth", "synchronous",
        "a global tick of 1 ms; each core evaluates all its neurons in every tick",
        "akopyan_2015", "neuron block: neurons are evaluated one after the other in each tick",
    ),
    Chip(
        "spinnaker", "SpiNNaker", "synchronous",
        "a timer interrupt, usually every 1 ms, updates all neurons of a core",
        "furber_2014", "software neurons on ARM cores, clock-driven update",
    ),
    Chip(
        "speck", "Speck / DYNAP-CNN", "asynchronous",
        "event by event, without a clock or time steps; integrate-and-fire neurons without leak "
        "between events", "sorbaro_2020", "platform of the study: asynchronous, IF neurons",
    ),
    Chip(
        "dynap_se", "DYNAP-SE", "asynchronous",
        "mixed-signal neurons in real time, without time steps", "moradi_2018",
        "asynchronous routing, analog neurons",
    ),
)  # fmt: skip

#: key -> chip
CHIPS: dict[str, Chip] = {chip.key: chip for chip in _TABLE}
_ALIASES = {
    "loihi1": "loihi", "intelloihi": "loihi", "ibmtruenorth": "truenorth", "dynapcnn": "speck",
    "dynapse": "dynap_se", "spinnaker1": "spinnaker",
}  # fmt: skip


def chip_of(name: str) -> Chip | None:
    """The chip of a name as papers write it ("Intel Loihi", "DYNAP-CNN"); None if unknown."""
    plain = "".join(letter for letter in name.lower() if letter.isalnum())
    key = _ALIASES.get(plain, plain)
    return CHIPS.get(key)
