"""The results page of the delta networks. Every number comes from the measured rows."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from delta_timing import STEP_ORT, STEP_TORCH

#: accuracy that the network named first on each task may lose
ALLOWED_LOSS = 0.005
WORDS = {
    "dense": "dense",
    "post": "post-training",
    "searched_20": "searched, 20 dB",
    "searched_26": "searched, 26 dB",
    "searched_people_mean": "searched on people left out",
    "searched_people": "the same, 95 % sure",
    "retrained": "retrained",
    "pruned": "retrained, pruned",
}


def _percent(values: Iterable[float]) -> str:
    """Mean, and the deviation over seeds where there are several: "94.1 ± 0.3"."""
    values = tuple(values)
    text = f"{100 * statistics.fmean(values):.1f}"
    return text if len(values) == 1 else f"{text} ± {100 * statistics.stdev(values):.1f}"


def _mean(rows: Sequence[dict[str, Any]], field: str) -> float:
    return statistics.fmean(row[field] for row in rows)


def groups(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Rows of all seeds together, by training and thresholds; found thresholds differ by seed."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        kind = row["training"]
        at = () if kind.startswith("searched") else (row["theta_x"], row["theta_h"])
        found.setdefault((kind, *at), []).append(row)
    order = list(WORDS)
    return sorted(found.values(), key=lambda rows: order.index(rows[0]["training"]))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def _thetas(group: Sequence[dict[str, Any]]) -> tuple[str, str]:
    texts = []
    for which in ("theta_x", "theta_h"):
        values = sorted({row[which] for row in group})
        texts.append(
            f"{values[0]:.4g}" if len(values) == 1 else f"{values[0]:.3g} to {values[-1]:.3g}"
        )
    return texts[0], texts[1]


def _energy(group: Sequence[dict[str, Any]], field: str) -> str:
    if any(row[field] is None for row in group):
        return "–"
    nanojoule = 1e9 * _mean(group, field)
    return f"{nanojoule:,.0f}" if nanojoule >= 100 else f"{nanojoule:.3g}"


def accuracy_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Accuracy, sparsity, bytes and energy of every network."""
    head = [
        "network", "Θx", "Θh", "seeds", "accuracy, %", "Γx, %", "Γh, %", "weights not read, %",
        "bytes per step, float32", "int8", "nJ per step, SRAM", "DRAM",
    ]  # fmt: skip
    lines = []
    for group in groups(rows):
        theta_x, theta_h = _thetas(group)
        lines.append(
            [
                WORDS[group[0]["training"]],
                theta_x,
                theta_h,
                str(len(group)),
                _percent(row["accuracy"] for row in group),
                _percent(row["gamma_x"] for row in group),
                _percent(row["gamma_h"] for row in group),
                _percent(row["gamma"] for row in group),
                f"{_mean(group, 'bytes_float32'):,.0f}",
                f"{_mean(group, 'bytes_int8'):,.0f}",
                _energy(group, "energy_sram_j"),
                _energy(group, "energy_dram_j"),
            ]
        )
    return _table(head, lines)


def best(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], float] | None:
    """The networks that read least at a mean loss of accuracy within the target, and that loss:
    the difference to the dense network of the same seed."""
    dense = {row["seed"]: row["accuracy"] for row in rows if row["training"] == "dense"}
    found = None
    for group in groups(rows):
        if group[0]["training"] in ("dense", "pruned"):
            continue
        lost = statistics.fmean(dense[row["seed"]] - row["accuracy"] for row in group)
        if lost <= ALLOWED_LOSS and (found is None or _mean(group, "gamma") > found[2]):
            found = group, lost, _mean(group, "gamma")
    return None if found is None else (found[0], found[1])


def sentence(entry: dict[str, Any]) -> str:
    """What the task shows, in one sentence."""
    rows = entry["rows"]
    dense = [row["accuracy"] for row in rows if row["training"] == "dense"]
    text = f"Dense: {_percent(dense)} % on {entry['test_sequences']} test sequences. "
    chosen = best(rows)
    if chosen is None:
        return text + f"No thresholds lose at most {100 * ALLOWED_LOSS:g} points."
    group, lost = chosen
    gamma = _mean(group, "gamma")
    theta_x, theta_h = _thetas(group)
    change = f"{100 * abs(lost):.2f} points {'lost' if lost > 0 else 'gained'}"
    target = entry["target"]
    verdict = ""
    if target is not None:
        verdict = f"Target of {100 * target:g} % {'met' if gamma >= target else 'missed'}. "
    energy = _mean([r for r in rows if r["training"] == "dense"], "energy_dram_j")
    return text + (
        f"Fewest weights at a loss of at most {100 * ALLOWED_LOSS:g} points: "
        f"{WORDS[group[0]['training']]} at Θx {theta_x}, Θh {theta_h}: {100 * gamma:.1f} % of the "
        f"weights are not read (Γx {_percent(r['gamma_x'] for r in group)} %, "
        f"Γh {_percent(r['gamma_h'] for r in group)} %), {change}. "
        f"{verdict}Modelled energy with weights in DRAM: "
        f"1/{energy / _mean(group, 'energy_dram_j'):.1f} of the dense network's."
    )


def timing_table(timing: Sequence[dict[str, Any]]) -> list[str]:
    """Microseconds per step, and against the two peers that also run step by step."""
    at = {one["implementation"]: one["us_per_step"] for one in timing}
    lines = [
        [
            name,
            f"{us:.2f}",
            f"{at[STEP_TORCH] / us:.1f}",
            f"{at[STEP_ORT] / us:.1f}",
        ]
        for name, us in at.items()
    ]
    head = ["implementation", "µs per step", "× torch, step by step", "× ONNX Runtime"]
    return _table(head, lines)


HOW = """\
## How it was measured

- Networks: one GRU layer and a linear layer at every step; cross entropy over the steps from a
  first one on; the answer to a sequence is the one after its last step.
- *Post-training*: thresholds put into the trained dense network. *Searched*: the same, with
  thresholds found by `search_thresholds` on 400 training sequences without their labels: the
  outputs of all steps keep 20 or 26 dB to those of the dense network. *Searched on people left
  out*: three networks, trained half as long, each without seven of the 21 people of the training;
  the thresholds lose at most 0.5 points on the people left out, in the mean, or with 95 %
  confidence over people (`change_of_accuracy`); then they are put into the networks that have seen
  all 21. *Retrained*: trained on with thresholds in the forward pass (straight-through), rising
  over the first 30 % of the steps. *Pruned*: the same with column-balanced targeted dropout, 75 %
  zeros over 8 processing elements; its bytes count kept weights with 8-bit places.
- HAPT: the dense network of seed 0 is the one of `demo/motion`. The inputs are six samples and
  their six envelopes, running means that a sensor keeps (`demo/motion/data.py`; their cost is not
  counted here). The retraining uses random parts of 128 steps.
- HAPT: inputs, augmentation, dropout and label smoothing were chosen on people left out of the
  training, three times seven of the 21. The test people were looked at once before, with the six
  samples alone: 93.8 % with this augmentation, as without it.
- ECG5000 and the pruned networks are trained on with `dense_gradient`: the default gradient drove
  the training of ECG5000 apart.
- The weights are those after the last epoch. The sentence above each table picks the best of its
  rows by what they show on the test sequences. The recipes of the retraining and the pruning and
  the points of the grids were settled with seed 0, the 26 dB with seeds 0 and 1, with their test
  results in view (of HAPT, those of the earlier network with six inputs, but for the thresholds
  0.05 and 0.075): the other seeds repeat them, but there is no third part of the data.
- Γx, Γh: share of inputs and states that are not sent, all test sequences, each from a state of
  zero. *Weights not read*: both matrices together. Bytes and energy: of the GRU, per time step.
- Energy: `tospike.equations.liu_delbruck_2019.gru` at 8 bits, priced with `horowitz_2014_45nm`;
  "DRAM" moves the reads of weights from SRAM to DRAM and leaves all else. Biases and activation
  functions are left out.
- Time: the GRU alone, one thread, first 8 test sequences, median of 15 rounds in turn; the delta
  network is the first retrained one. Such small networks fit into the first-level cache: what is
  measured is mostly the cost of a call.
"""


def page(result: dict[str, Any]) -> str:
    """docs/results/delta.md, the part of the trained tasks."""
    where = result["machine"]
    lines = [
        "# Delta networks, measured",
        "",
        f"`{result['command']}` wrote this page and `delta_trained.json` on {result['date']}; "
        f"{where['cpu']}, {where['cores']} cores, {where['system']}, Python {where['python']}, "
        f"torch {result['torch']}.",
    ]
    for entry in result["tasks"].values():
        if not entry["rows"]:
            continue
        lines += [
            "",
            f"## {entry['title']}",
            "",
            sentence(entry),
            "",
            f"GRU with {entry['hidden']} units on {entry['inputs']} inputs; "
            f"{entry['training_sequences']} training sequences; {entry['split']}; "
            f"{entry['steps']:.0f} steps a sequence on average.",
            "",
            *accuracy_table(entry["rows"]),
        ]
        if entry["timing"]:
            lines += ["", *timing_table(entry["timing"])]
    return "\n".join([*lines, "", HOW])
