"""Slow reference of ``cache.py``: caches as ordered dictionaries, synapse by synapse."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tospike.machines.spikes import EventStream, SpikeInput


@dataclass
class Cache:
    """Lines by set, the least recently used first; the value tells if the line is dirty."""

    sets: int
    ways: int
    line: int
    lines: dict[int, OrderedDict[int, bool]] = field(default_factory=dict)

    def access(self, address: int, write: bool) -> tuple[bool, int | None]:
        """(hit, byte address of a dirty line that had to go or None)."""
        line = address // self.line
        held = self.lines.setdefault(line % self.sets, OrderedDict())
        if line in held:
            held[line] = held[line] or write
            held.move_to_end(line)
            return True, None
        gone = None
        if len(held) == self.ways:
            old, dirty = held.popitem(last=False)
            gone = old * self.line if dirty else None
        held[line] = write
        return False, gone


def run_events(
    stream: EventStream, inputs: Sequence[SpikeInput], weight_bases: Sequence[int],
    state_bases: Sequence[int], weights: Cache, states: Cache, word: int, state: int,
) -> tuple[int, int, int, list[tuple[int, bool, int]]]:  # fmt: skip
    """(synapses, weight hits, state hits, requests as (address, write, event)); words in bytes."""
    synapses = weight_hits = state_hits = 0
    requests: list[tuple[int, bool, int]] = []
    for e in range(stream.size):
        one = inputs[int(stream.layer[e])]
        of, channel, pixel = one.of, int(stream.channel[e]), int(stream.pixel[e])
        group = channel // of.in_per_group
        for output, tap in _targets(one, pixel):
            synapses += of.out_per_group
            first = (channel * of.taps + tap) * of.out_per_group
            base = weight_bases[int(stream.layer[e])]
            for line in _lines(base + first * word, of.out_per_group * word, weights.line):
                hit, _ = weights.access(line, write=False)
                weight_hits += hit
                if not hit:
                    requests.append((line, False, e))
            first = output * of.out_channels + group * of.out_per_group
            base = state_bases[int(stream.layer[e])]
            for line in _lines(base + first * state, of.out_per_group * state, states.line):
                hit, gone = states.access(line, write=True)
                state_hits += hit
                if gone is not None:
                    requests.append((gone, True, e))
                if not hit:
                    requests.append((line, False, e))
    return synapses, weight_hits, state_hits, requests


def _lines(start: int, size: int, line: int) -> list[int]:
    """Byte addresses of the lines that hold ``size`` bytes from ``start`` on."""
    return sorted({address // line * line for address in range(start, start + size)})


def _targets(one: SpikeInput, pixel: int) -> list[tuple[int, int]]:
    """(output position, tap) that an input position reaches, one kernel tap at a time."""
    import numpy as np

    of = one.of
    place = np.unravel_index(pixel, of.in_space) if of.in_space else ()
    found = []
    for number, tap in enumerate(np.ndindex(*of.kernel)):
        output = []
        for d, k in enumerate(tap):
            shifted = int(place[d]) + of.padding[d] - k * of.dilation[d]
            if shifted % of.stride[d] or not 0 <= shifted // of.stride[d] < of.out_space[d]:
                break
            output.append(shifted // of.stride[d])
        else:
            index = int(np.ravel_multi_index(output, of.out_space)) if output else 0
            found.append((index, number))
    return sorted(found)
