"""Puts the spiking results together: docs/results/snn.md and docs/results/snn.json.

    python validation/measure_snn.py [--work out/snn] [--out docs/results]

Nothing is trained or run here. Results come from the folder ``--work``, where these commands, each
of which goes on where it was, leave them: validation/snn_fashion.py, snn_converted.py,
snn_temporal.py, snn_events.py, snn_emulated.py; figures of the GRU from delta_trained.json of
validation/measure_delta.py. What is not there yet is listed on the page.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from snn_converted import BITS, RULES, TIMESTEPS, TTFS, digest
from snn_emulated import PENALTIES as EMULATED_PENALTIES
from snn_events import BINS_MS, RECORDINGS
from snn_fashion import NAMES, OUT, profile
from snn_network import seeded
from snn_page import page
from snn_page_temporal import GRU
from snn_prices import Analog, Spiking, matched_energy, prices
from snn_temporal import NETWORKS, TASKS

import tospike
from tospike.bench.timing import machine
from tospike.errors import DataError, OptionError, TospikeError
from tospike.network import Network
from tospike.reporting.write import write_atomically

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "python validation/measure_snn.py"
_FLOAT = {"weight_bits": 32, "activation_bits": 32, "state_bits": 32}


def read(path: Path) -> Any:
    """A JSON file."""
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(
            f"read {path.name}", received=f"a damaged file: {error}", fix="remove it, run it again"
        ) from error


def expected() -> list[str]:
    """Names of all result files that a complete page rests on."""
    names = [*NAMES, "qcfs-layers", *(f"qnn-{bits}" for bits in BITS)]
    names += [f"converted-{rule}-{t}" for rule in RULES for t in TIMESTEPS]
    names += [*(f"ttfs-ann-{t}" for t in TTFS), "ttfs-qcfs-4"]
    names += [
        f"temporal-{task}-{neuron}-{penalty:g}-0" for task in TASKS for neuron, penalty in NETWORKS
    ]
    names += [f"events-{name}-{bin_ms}" for name in RECORDINGS for bin_ms in BINS_MS]
    return [*names, "emulated"]


def missing(folder: Path) -> list[str]:
    """What is not there yet, or rests on a network that has been trained anew since."""
    found = [
        name
        for name in expected()
        if not (folder / f"{name}.json").is_file() or stale(folder, read(folder / f"{name}.json"))
    ]
    for network in ("ann", "qcfs"):
        done, weights = folder / f"hybrid-{network}.done", folder / f"{network}.pt"
        if not (
            done.is_file() and weights.is_file() and done.read_text().split()[0] == digest(weights)
        ):
            found.append(f"hybrid-{network}")
    return found


def stale(folder: Path, result: Any) -> bool:
    """Whether a result is of other weights than those that lie in the folder."""
    if not isinstance(result, dict) or "network_sha256" not in result:
        return False
    weights = folder / f"{result['network']}.pt"
    return not weights.is_file() or digest(weights) != result["network_sha256"]


def spiking_layers(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Layers whose synapses receive spikes."""
    return tuple(name for name, one in result["layers"].items() if one["signal"] == "spike")


def neuron_of(result: Mapping[str, Any]) -> str:
    """Equation of the neurons: a trained leak makes them LIF."""
    if "neuron" in result:
        return str(result["neuron"])
    leaky = any(one["decay"] < 1 for one in result["neurons"].values())
    return "lif_inst" if leaky else "if_inst"


def files(folder: Path) -> Iterator[dict[str, Any]]:
    """Results of networks for Fashion-MNIST, in the order of the page."""
    patterns = ("ann", "qnn-*", "converted-*", "qcfs", "qcfs-layers", "direct-*", "ttfs-*",
                "hybrid-*")  # fmt: skip
    for pattern in patterns:
        found = sorted(
            folder.glob(f"{pattern}.json"),
            key=lambda path: [
                int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.stem)
            ],
        )
        for path in found:
            if not stale(folder, result := read(path)):
                yield result


def baseline(folder: Path) -> Analog:
    """The 8-bit network that every SNN stands beside, with the zeros that it showed."""
    for name in ("qnn-8", "ann"):
        if (folder / f"{name}.json").is_file():
            return Analog(f"{name}, 8 bit", profile(read(folder / f"{name}.json")))
    raise OptionError(
        "put the spiking results together", received="neither qnn-8.json nor ann.json",
        where=str(folder), fix="python validation/snn_fashion.py --only ann",
    )  # fmt: skip


def fashion(folder: Path, network: Network) -> list[dict[str, Any]]:
    """One row for each network: accuracy, T, spikes, operations, energies under all models."""
    base = baseline(folder)
    rows = []
    for result in files(folder):
        activity, layers = profile(result), spiking_layers(result)
        row = {
            key: result.get(key)
            for key in ("name", "method", "timesteps", "accuracy", "accuracy_at", "n_samples",
                        "activation_bits", "spikes_per_synapse", "settings")
        }  # fmt: skip
        row["operations"] = sum(one.synaptic_operations for one in activity.layers.values())
        row["spike_operations"] = sum(activity[name].synaptic_operations for name in layers)
        row["spiking"] = list(layers)
        if layers:
            neuron = neuron_of(result)
            snn = Spiking(result["name"], activity, result["timesteps"], layers, neuron)
            row |= {"neuron": neuron, "models": prices(network, base, snn)}
        else:
            bits = _FLOAT if result["name"] == "ann" else {"activation_bits": _bits(result)}
            row["models"] = prices(network, Analog(result["name"], activity, **bits), None)
            if result["name"] != "ann":
                matched = matched_energy(network, activity, _bits(result))
                row["models"]["yan"]["energy_ann_j"] = matched
        rows.append(row)
    return rows


def _bits(result: Mapping[str, Any]) -> int:
    return int(result.get("activation_bits") or 8)


def temporal(folder: Path, delta: Path) -> dict[str, Any]:
    """Rows of the SNNs and of the GRU by task."""
    kept = read(delta)["tasks"] if delta.is_file() else {}
    found: dict[str, Any] = {}
    for task in TASKS:
        rows = [
            row for path in sorted(folder.glob(f"temporal-{task}-*.json")) for row in read(path)
        ]
        entry = kept.get(task, {})
        gru = [row for row in entry.get("rows", []) if row["training"] in GRU]
        about = {
            key: entry.get(key) for key in ("title", "split", "hidden", "inputs", "test_sequences")
        }
        found[task] = about | {"snn": rows, "gru": gru}
    return found


def recording(result: dict[str, Any]) -> dict[str, Any]:
    """An event recording, of the models only the ratios: the rest lies in the folder of results."""
    settings = [
        setting
        | {
            "points": [
                point
                | {"models": {key: {"ratio": one["ratio"]} for key, one in point["models"].items()}}
                for point in setting["points"]
            ]
        }
        for setting in result["settings"]
    ]
    return result | {"settings": settings}


def assemble(folder: Path, delta: Path) -> dict[str, Any]:
    """Everything that the page shows."""
    network = tospike.load(seeded(0).eval(), torch.zeros(1, 1, 28, 28))
    emulated = folder / "emulated.json"
    return {
        "command": COMMAND,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "n_synapses": sum(layer.n_synapses for layer in network.synaptic_layers),
        "fashion": fashion(folder, network),
        "temporal": temporal(folder, delta),
        "events": [recording(read(path)) for path in sorted(folder.glob("events-*.json"))],
        "emulated": read(emulated) if emulated.is_file() else None,
        "emulated_penalties": list(EMULATED_PENALTIES),
        "missing": missing(folder),
    }


def main(given: Sequence[str] | None = None) -> int:
    """Status 0, or 2 with a message on a user's error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=OUT, help="folder of the results")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results", help="for the page")
    parser.add_argument("--delta", type=Path, default=ROOT / "docs/results/delta_trained.json")
    asked = parser.parse_args(given)
    try:
        result = assemble(asked.work, asked.delta)
        asked.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(result, indent=1, allow_nan=False) + "\n"
        write_atomically(asked.out / "snn.json", text.encode())
        write_atomically(asked.out / "snn.md", page(result).encode())
    except TospikeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if result["missing"]:
        print(f"{len(result['missing'])} results are missing; the page lists them", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
