"""Set-associative caches with least recently used replacement, fed by spikes. Numba.

The reference beside it (``reference.py``) does the same word by word.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
#: one row per layer
(
    STARTS, INPUT_CHANNELS, OUTPUT_CHANNELS, TAPS, OUT_CHANNELS_ALL, WEIGHT_BASE, STATE_BASE,
) = range(7)  # fmt: skip
#: results per event
SYNAPSES, SLOTS, WEIGHT_LINES, WEIGHT_HITS, STATE_LINES, STATE_HITS = range(6)
#: requests: line address in bytes, 1 for a write-back, event
ADDRESS, WRITE, EVENT = range(3)


@nb.njit(cache=True)
def look_up(tags: Ints, stamps: Ints, dirty: Ints, line: int, now: int, write: int) -> int:
    """Access one line; it is then in the cache.

    Returns -2 for a hit, -1 for a miss, else a miss whose victim, the returned line, was dirty.
    """
    sets, ways = tags.shape
    s = line % sets
    victim = 0
    for w in range(ways):
        if tags[s, w] == line:
            stamps[s, w] = now
            dirty[s, w] |= write
            return -2
        if stamps[s, w] < stamps[s, victim]:
            victim = w
    gone = tags[s, victim] if dirty[s, victim] else -1
    tags[s, victim] = line
    stamps[s, victim] = now
    dirty[s, victim] = write
    return gone


@nb.njit(cache=True)
def run_events(
    layer: Ints, channel: Ints, pixel: Ints, table: Ints, starts: Ints, outputs: Ints, taps: Ints,
    n_pe: int, word_bits: int, state_bits: int, weight_line: int, state_line: int,
    weight_tags: Ints, weight_stamps: Ints, weight_dirty: Ints,
    state_tags: Ints, state_stamps: Ints, state_dirty: Ints,
    results: Ints, requests: Ints,
) -> int:  # fmt: skip
    """All events through both caches; returns the requests, of which as many as fit are kept.

    Weights of one input channel and tap, and states of one position, stand side by side by output
    channel. Each line of them is looked up once per event and position.
    """
    n, now = 0, 0
    for e in range(layer.size):
        row = table[layer[e]]
        first = row[STARTS] + pixel[e]
        group = channel[e] // row[INPUT_CHANNELS]
        width = row[OUTPUT_CHANNELS]
        for k in range(starts[first], starts[first + 1]):
            at_weight = (channel[e] * row[TAPS] + taps[k]) * width
            at_state = outputs[k] * row[OUT_CHANNELS_ALL] + group * width
            results[e, SYNAPSES] += width
            results[e, SLOTS] += (width + n_pe - 1) // n_pe
            start = (row[WEIGHT_BASE] + at_weight * word_bits // 8) // weight_line
            stop = (row[WEIGHT_BASE] + ((at_weight + width) * word_bits - 1) // 8) // weight_line
            for line in range(start, stop + 1):
                now += 1
                results[e, WEIGHT_LINES] += 1
                gone = look_up(weight_tags, weight_stamps, weight_dirty, line, now, 0)
                if gone == -2:
                    results[e, WEIGHT_HITS] += 1
                    continue
                if n < requests.shape[0]:
                    requests[n, ADDRESS], requests[n, WRITE] = line * weight_line, 0
                    requests[n, EVENT] = e
                n += 1
            start = (row[STATE_BASE] + at_state * state_bits // 8) // state_line
            stop = (row[STATE_BASE] + ((at_state + width) * state_bits - 1) // 8) // state_line
            for line in range(start, stop + 1):
                now += 1
                results[e, STATE_LINES] += 1
                gone = look_up(state_tags, state_stamps, state_dirty, line, now, 1)
                if gone == -2:
                    results[e, STATE_HITS] += 1
                    continue
                if gone >= 0:
                    if n < requests.shape[0]:
                        requests[n, ADDRESS], requests[n, WRITE] = gone * state_line, 1
                        requests[n, EVENT] = e
                    n += 1
                if n < requests.shape[0]:
                    requests[n, ADDRESS], requests[n, WRITE] = line * state_line, 0
                    requests[n, EVENT] = e
                n += 1
    return n
