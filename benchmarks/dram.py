"""Requests per second of the DRAM simulation, processor time of one core, best of three.

python benchmarks/dram.py
"""

from __future__ import annotations

import time

from tospike.machines.dram import DramSystem, random_rows, simulate, stream
from tospike.technology.dram import devices, load_device

REQUESTS = 1_000_000
ROUNDS = 3


def main() -> None:
    """A stream, and one burst of each of many random rows, on every device."""
    for name in devices():
        system = DramSystem(load_device(name))
        traces = {
            "stream": stream(system.burst_bytes * REQUESTS, system),
            "random rows": random_rows(REQUESTS, system.burst_bytes, system),
        }
        for what, trace in traces.items():
            simulate(system, trace[:1000])  # compiles
            seconds = []
            for _ in range(ROUNDS):
                begin = time.process_time()
                simulate(system, trace)
                seconds.append(time.process_time() - begin)
            print(f"{name:20} {what:12} {len(trace) / min(seconds) / 1e6:5.1f} M requests/s")


if __name__ == "__main__":
    main()
