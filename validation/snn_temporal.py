"""Recurrent spiking networks on HAPT motion and spoken digits, for a table with the GRU.

    python validation/snn_temporal.py [--out out/snn] [--tasks motion] [--seeds 1] [--quick]

Tasks, data, splits and augmentation are those of validation/delta_tasks.py; the layer of
validation/snn_recurrent.py has as many weights as the GRU. Analog inputs drive it as currents.
Nothing is chosen on the test sequences: the weights are those after the last epoch. A killed run
goes on where it was, and what is done is not done again.

Writes to ``--out``: ``temporal-<task>-<neuron>-<penalty>-<seed>.checkpoint`` and ``.json`` with
one ``Row`` for each threshold of the inputs. The command validation/measure_snn.py makes the page.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from delta_tasks import Data, Task, digits, motion, tiny
from delta_trained import GATES, TECHNOLOGY
from snn_recurrent import RecurrentSNN, hidden_for
from torch import Tensor

from tospike.actions import ActionCounts, Entry, combine, count
from tospike.conversion.delta.train import Recipe, train
from tospike.equations import dampfhoffer_2022 as dampfhoffer
from tospike.equations import liu_delbruck_2019 as liu
from tospike.errors import TospikeError
from tospike.pricing import price
from tospike.reporting.write import write_atomically

OUT = Path(__file__).resolve().parents[1] / "out" / "snn"
TASKS: dict[str, Callable[[], Task]] = {"motion": motion, "digits": digits}
RECIPES = {
    "motion": Recipe(epochs=20, rate=4e-3),
    "digits": Recipe(epochs=60, rate=4e-3),
    "tiny": Recipe(epochs=2, rate=1e-2, batch=16),
}
#: neuron and weight of the mean spikes per neuron and step in the loss
NETWORKS = (
    ("alif", 0.0), ("alif", 1.0), ("alif", 5.0), ("alif", 20.0), ("lif", 0.0), ("lif", 5.0),
)  # fmt: skip
#: least changes of an input that are sent on (0: every step sends every input); as for the GRU
THRESHOLDS = {"motion": (0.0, 0.05, 0.1), "digits": (0.0, 0.5), "tiny": (0.0, 0.1)}
BITS = 8


@dataclass(frozen=True)
class Row:
    """One spiking network on the test sequences. All amounts are per time step of one sequence,
    of the recurrent layer alone, as those of the GRU; joule at 8 bits.

    Attributes
    ----------
    theta_x : an input is sent when it has moved by more than this since it was last sent; 0 sends
        all. gamma_x : share of inputs not sent.
    spikes_per_neuron : per step. input_macs : products with analog inputs.
    synaptic_operations : additions by spikes on recurrent synapses, each read one weight.
    state_accesses : words of states read, and as many written, by the neurons' update.
    bytes_int8 : weights read. head_operations : additions by spikes in the read-out.
    energy_* : "word": every spike reads and writes the potentials of its targets, as in Dampfhoffer
        2022, eq. 7; "column": a spike's column of weights is added up in registers, as in a delta
        network. Weights in SRAM or in DRAM.
    """

    task: str
    neuron: str
    penalty: float
    seed: int
    hidden: int
    n_weights: int
    theta_x: float
    accuracy: float
    gamma_x: float
    spikes_per_neuron: float
    input_macs: float
    synaptic_operations: float
    state_accesses: float
    bytes_int8: float
    head_operations: float
    energy_word_sram_j: float
    energy_word_dram_j: float
    energy_column_sram_j: float
    energy_column_dram_j: float


def held(x: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Inputs (N, T, I) as a delta network receives them, and what was sent (N, T, I)."""
    if threshold <= 0:
        return x, torch.ones_like(x)
    last = torch.zeros_like(x[:, 0])
    values, sent = [], []
    for now in x.unbind(1):
        moved = (now - last).abs() > threshold
        last = torch.where(moved, now, last)
        values.append(last)
        sent.append(moved.float())
    return torch.stack(values, 1), torch.stack(sent, 1)


@dataclass(frozen=True)
class Shown:
    """What a network showed: share of right answers, inputs not sent, spikes per neuron, step."""

    accuracy: float
    gamma_x: float
    spikes: float


@torch.no_grad()
def run(module: RecurrentSNN, data: Data, threshold: float, batch: int = 100) -> Shown:
    """Run on sequences, never on their padding; the answer is the one after the last step."""
    right = sent = fired = steps = 0.0
    for length in data.length.unique().tolist():
        rows = torch.nonzero(data.length == length)[:, 0]
        for part in rows.split(batch):
            x, events = held(data.x[part, :length], threshold)
            z = module.spikes(x)
            answers = module.read(z)[:, -1].argmax(dim=1)
            right += float((answers == data.label[part]).sum())
            sent += float(events.double().sum())
            fired += float(z.double().sum())
            steps += len(part) * length
    return Shown(
        right / len(data),
        1 - sent / (steps * data.x.shape[2]),
        fired / (steps * len(module.recurrent)),
    )


def _adaptation(hidden: int, neuron: str, layer: str) -> tuple[Entry, ...]:
    """What an adaptive neuron does beyond a leaky one per step: its second state."""
    if neuron == "lif":
        return ()
    read, write = (
        count(layer, "sram", action, "state", hidden, bits=BITS, part="neuron")
        for action in ("read", "write")
    )
    # rho b + (1 - rho) z, and 1 + scale b
    return read, write, count(layer, "alu", "mac", "state", 2 * hidden, bits=BITS, part="neuron")


def _inputs(inputs: int, hidden: int, gamma_x: float, threshold: float) -> ActionCounts:
    amounts = {"n_syn": inputs * hidden, "n_inputs": inputs, "n_neurons": hidden}
    if threshold <= 0:
        return liu.dense_layer(**amounts, layer="input")
    return liu.delta_layer(**amounts, temporal_sparsity=gamma_x, layer="input")


def counts(module: RecurrentSNN, shown: Shown, threshold: float, accumulate: str) -> ActionCounts:
    """Actions of one step. ``accumulate``: "word" or "column", see :class:`Row`."""
    hidden, inputs = module.input.weight.shape
    whole = dampfhoffer.snn_lif_inst(
        n_syn=hidden**2, n_neur=hidden, spikes_per_synapse=shown.spikes, n_timesteps=1,
        layer="recurrent",
    )  # fmt: skip
    entries = list(whole.entries)
    if accumulate == "column":
        # partial sums in registers, and the multiplier idle: weight, addition, two registers
        entries = [
            replace(entry, component="register")
            if entry.datatype == "state" and entry.part != "neuron"
            else entry
            for entry in entries
        ]
    entries += _adaptation(hidden, module.neuron, "recurrent")
    recurrent = replace(whole, entries=tuple(entries))
    return combine([_inputs(inputs, hidden, shown.gamma_x, threshold), recurrent])


def energy(
    module: RecurrentSNN, shown: Shown, threshold: float, accumulate: str, where: str
) -> float:
    """Joule of one step, at the prices of the GRU; weights in "sram" or "dram"."""
    made = counts(module, shown, threshold, accumulate)
    if where == "dram":
        made = replace(
            made,
            entries=tuple(
                replace(entry, component="dram")
                if (entry.component, entry.datatype) == ("sram", "weight")
                else entry
                for entry in made.entries
            ),
        )
    hidden, inputs = module.input.weight.shape
    capacity = max(8192, hidden * (inputs + hidden))
    return float(price(made, TECHNOLOGY, sram_bytes=capacity).energy)


def row(task: Task, module: RecurrentSNN, penalty: float, seed: int, threshold: float) -> Row:
    """Measure and price one network."""
    shown = run(module, task.test, threshold)
    hidden, inputs = module.input.weight.shape
    macs = (1 - shown.gamma_x) * inputs * hidden
    operations = shown.spikes * hidden**2
    return Row(
        task.name, module.neuron, penalty, seed, hidden, hidden * (inputs + hidden), threshold,
        shown.accuracy, shown.gamma_x, shown.spikes, macs, operations,
        hidden * (2.0 if module.neuron == "alif" else 1.0),
        (macs + operations) * BITS / 8,
        shown.spikes * hidden * task.classes,
        *(
            energy(module, shown, threshold, accumulate, where)
            for accumulate in ("word", "column")
            for where in ("sram", "dram")
        ),
    )  # fmt: skip


def trained(
    task: Task, neuron: str, penalty: float, seed: int, file: Path, say: Callable[[str], None]
) -> RecurrentSNN:
    """The network after the last epoch; goes on from ``file``."""
    inputs = task.train.x.shape[2]
    hidden = hidden_for(GATES * task.hidden * (inputs + task.hidden), inputs)
    torch.manual_seed(seed)
    start = RecurrentSNN(neuron, inputs, hidden, task.classes, task.dropout)
    recipe = replace(RECIPES[task.name], seed=seed)

    def loss(output: Tensor, labels: Tensor) -> Tensor:
        """The task's, and the penalty on the spikes, which stand behind the classes."""
        return task.loss(output[..., :-1], labels) + penalty * output[..., -1].mean()

    def progress(done: int, steps: int) -> None:
        if done % max(1, steps // 10) == 0:
            say(f"{file.stem}: step {done} of {steps}")

    augment = task.augment_delta or task.augment
    made = train(
        start, task.train.x, task.train.steps(task.first), loss, recipe,
        augment=augment, checkpoint=file, progress=progress,
    )  # fmt: skip
    assert isinstance(made.module, RecurrentSNN)
    return made.module


def networks(
    task: Task,
    wanted: Sequence[tuple[str, float]],
    seeds: int,
    folder: Path,
    say: Callable[[str], None],
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Name and rows of every network; those that lie in the folder are read."""
    for seed in range(seeds):
        for neuron, penalty in wanted:
            name = f"temporal-{task.name}-{neuron}-{penalty:g}-{seed}"
            kept = folder / f"{name}.json"
            if kept.is_file():
                yield name, json.loads(kept.read_bytes())
                continue
            begin = time.process_time()
            module = trained(task, neuron, penalty, seed, folder / f"{name}.checkpoint", say)
            spent = time.process_time() - begin
            rows = [
                asdict(row(task, module, penalty, seed, theta)) for theta in THRESHOLDS[task.name]
            ]
            for one in rows:
                one["training_cpu_s"] = spent
            write_atomically(kept, (json.dumps(rows, indent=1, allow_nan=False) + "\n").encode())
            yield name, rows


def main(given: Sequence[str] | None = None) -> int:
    """Status 0, or 2 with a message on a user's error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each network")
    names = {f"{neuron}-{penalty:g}": (neuron, penalty) for neuron, penalty in NETWORKS}
    parser.add_argument("--networks", nargs="+", choices=list(names), default=list(names))
    parser.add_argument("--quick", action="store_true", help="a tiny made-up task")
    asked = parser.parse_args(given)
    wanted = [names[name] for name in asked.networks]
    torch.set_num_threads(1)

    def say(text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

    try:
        asked.out.mkdir(parents=True, exist_ok=True)
        for task in [tiny()] if asked.quick else [TASKS[name]() for name in asked.tasks]:
            for name, rows in networks(task, wanted, asked.seeds, asked.out, say):
                for one in rows:
                    print(
                        f"{name} theta_x {one['theta_x']:g}: accuracy {one['accuracy']:.4f}, "
                        f"{one['spikes_per_neuron']:.4f} spikes per neuron and step, "
                        f"{one['bytes_int8']:.0f} bytes, nJ per step word "
                        f"{1e9 * one['energy_word_sram_j']:.2f} SRAM "
                        f"{1e9 * one['energy_word_dram_j']:.0f} DRAM, column "
                        f"{1e9 * one['energy_column_sram_j']:.2f} "
                        f"{1e9 * one['energy_column_dram_j']:.0f}",
                        flush=True,
                    )
    except TospikeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
