"""Real event recordings: a spiking conv network on events against the same one on frames.

    make event-recordings        # fetches the recordings that lie in faery's source distribution
    python validation/snn_events.py [--out out/snn] [--seconds 1.5]

Only activity and energy; there are no labels, so there is no accuracy. The filters are those of the
Fashion-MNIST network (``ann.pt`` of validation/snn_fashion.py, its four convolutions), without
biases, so that nothing happens where there are no events: trained filters, but on other data.

Events of both polarities are put into 128 x 128 places and bins of 10 or 50 ms; a place of a bin
is 1 if it had an event. The frame network computes every bin anew, with rectifiers. The spiking
network takes the bins as steps, with leaky neurons (20 ms). Its activity is a choice: thresholds
are set layer by layer on the recording so that a layer sends one spike, or a quarter of one, for
each activation of the frame network that is not 0 (the trained networks for Fashion-MNIST send 0.4
to 0.9 per inference). Events are thinned at random for lower rates.

Writes ``events-<recording>-<bin>.json`` to ``--out``.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_network import seeded
from snn_prices import Analog, Spiking, prices, rate
from torch import Tensor, nn
from torch.nn import functional as F

import tospike
from tospike.activity import ActivityProfile, LayerActivity
from tospike.conversion.training.methods import load_initial
from tospike.conversion.training.taps import fan_out
from tospike.errors import DataError, TospikeError
from tospike.network import Network
from tospike.reporting.write import write_atomically

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "out" / "snn"
ARCHIVE = ROOT / "out" / "downloads" / "faery-0.7.1.tar.gz"
RECORDINGS = {
    "atis": ("ATIS, 320 x 240", "atis.es"),
    "davis346": ("DAVIS346, 346 x 260", "davis346.aedat4"),
    "gen4": ("Prophesee Gen 4, 1280 x 720", "gen4.dat"),
}
SIZE = 128
BINS_MS = (10, 50)
#: time constant of the neurons
TAU_MS = 20.0
#: spikes for each activation of the frame network that is not 0
SHARES = (1.0, 0.25)
#: event rates, times that of the recording
FACTORS = (1.0, 0.5, 0.25, 0.125, 2.0, 4.0, 8.0)
#: consecutive bins that set the thresholds
N_CALIBRATION = 16
CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4")


@dataclass(frozen=True)
class Events:
    """t : microseconds from 0, rising. x, y : places of a sensor of ``width`` x ``height``."""

    t: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    width: int
    height: int

    def at_rate(self, factor: float, seed: int = 0) -> Events:
        """``factor`` times as many events per second: below 1 a random share of the events, above
        1 the recording played faster."""
        if factor > 1:
            t = (self.t / factor).astype(np.int64)
            return Events(t, self.x, self.y, self.width, self.height)
        chosen = np.random.default_rng(seed).random(len(self.t)) < factor
        return Events(self.t[chosen], self.x[chosen], self.y[chosen], self.width, self.height)


def read(name: str, seconds: float, archive: Path = ARCHIVE) -> Events:
    """The first ``seconds`` of a recording, unpacked beside the archive."""
    try:
        import faery
    except ImportError as error:
        raise DataError(
            "decode an event recording", received="faery is not installed",
            fix="make event-recordings",
        ) from error  # fmt: skip
    file = RECORDINGS[name][1]
    path = archive.parent / file
    if not path.is_file():
        if not archive.is_file():
            raise DataError(
                "read the event recordings", received=f"no {archive.name}",
                fix="make event-recordings",
            )  # fmt: skip
        with tarfile.open(archive) as packed:
            inside = packed.extractfile(f"{archive.name.removesuffix('.tar.gz')}/tests/data/{file}")
            if inside is None:
                raise DataError("read the event recordings", received=f"no {file} in the archive")
            write_atomically(path, inside.read())
    stream = faery.events_stream_from_file(path)
    width, height = stream.dimensions()
    packets = np.concatenate(list(stream))
    t = packets["t"].astype(np.int64)
    t -= t[0]
    chosen = t < seconds * 1e6
    return Events(
        t[chosen],
        packets["x"][chosen].astype(np.int64),
        packets["y"][chosen].astype(np.int64),
        width,
        height,
    )


def frames(events: Events, bin_ms: float, size: int = SIZE, n_bins: int | None = None) -> Tensor:
    """Bins (T, 1, size, size), float32: 1 where a place had an event. The last, incomplete bin is
    left out; ``n_bins`` says how many there are for thinned events."""
    at = (events.t // (1000 * bin_ms)).astype(np.int64)
    steps = max(1, int(at[-1])) if n_bins is None else n_bins
    chosen = at < steps
    made = np.zeros((steps, 1, size, size), np.float32)
    rows = events.y[chosen] * size // events.height
    columns = events.x[chosen] * size // events.width
    made[at[chosen], 0, rows, columns] = 1.0
    return torch.from_numpy(made)


def trunk(weights: Path | None) -> nn.Sequential:
    """The convolutions, rectifiers and pools of the Fashion-MNIST network; batch norms are folded
    into the weights, biases left out. None: untrained weights, for tests."""
    whole = seeded(0)
    if weights is not None:
        load_initial(whole, weights)
    whole.eval()
    made = nn.Sequential()
    for name, module in whole.named_children():
        if isinstance(module, nn.Flatten):
            break
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_var is not None
            gain = module.weight / torch.sqrt(module.running_var + module.eps)
            convolution = made[-1]
            assert isinstance(convolution, nn.Conv2d)
            convolution.weight = nn.Parameter(
                (convolution.weight * gain[:, None, None, None]).detach()
            )
        else:
            made.add_module(name, module)
    return made.eval()


class Tally:
    """Sums over the bins of what one convolution receives."""

    def __init__(self, module: nn.Conv2d, shape: tuple[int, ...]) -> None:
        self.synapses, self.products = fan_out(module, shape)
        self.values = math.prod(shape)
        self.operations = self.active = 0.0
        self.bins = 0

    def add(self, x: Tensor) -> None:
        """Inputs (N, C, H, W)."""
        active = (x != 0).float()
        self.operations += float((active.sum(dim=(0, 1)).double() * self.products).sum())
        self.active += float(active.sum().double())
        self.bins += len(x)

    def activity(self, signal: str) -> LayerActivity:
        """Means of one bin."""
        operations, active = self.operations / self.bins, self.active / self.bins / self.values
        spikes = signal == "spike"
        return LayerActivity(
            signal="spike" if spikes else "analog",
            n_samples=self.bins,
            n_timesteps=1,
            zero_fraction=1 - active,
            synaptic_operations=operations,
            spikes_per_synapse=operations / self.synapses if spikes else None,
            spikes_per_neuron=active if spikes else None,
        )


def _profile(tallies: dict[str, Tally], signal: str, origin: str) -> ActivityProfile:
    first = next(iter(tallies.values()))
    layers = {name: tally.activity(signal) for name, tally in tallies.items()}
    return ActivityProfile(layers, first.bins, origin)


@torch.no_grad()
def by_frames(net: nn.Sequential, x: Tensor, batch: int = 8) -> ActivityProfile:
    """What the convolutions of the frame network receive."""
    tallies: dict[str, Tally] = {}
    for part in x.split(batch):
        for name, module in net.named_children():
            if isinstance(module, nn.Conv2d):
                tallies.setdefault(name, Tally(module, tuple(part.shape[1:]))).add(part)
            part = module(part)
    return _profile(tallies, "analog", "event frames")


def fire(current: Tensor, threshold: float, decay: float) -> Tensor:
    """Spikes (T, ...) of leaky neurons for currents (T, ...): h = decay v + current; a spike of
    h >= threshold takes the threshold off h."""
    v = torch.zeros_like(current[0])
    found = []
    for now in current:
        h = decay * v + now
        spike = (h >= threshold).float()
        v = h - threshold * spike
        found.append(spike)
    return torch.stack(found)


def threshold_for(current: Tensor, density: float, decay: float, halvings: int = 12) -> float:
    """The threshold at which leaky neurons send ``density`` spikes per neuron and step."""
    low, high = 0.0, max(float(current.max()) / (1 - decay), 1e-6)
    for _ in range(halvings):
        middle = (low + high) / 2
        if float(fire(current, middle, decay).mean()) > density:
            low = middle
        else:
            high = middle
    return high


@torch.no_grad()
def thresholds(net: nn.Sequential, x: Tensor, share: float, decay: float) -> list[float]:
    """Of every population, layer after layer: ``share`` spikes for each value of the frame network
    that is not 0, on consecutive bins ``x``."""
    found: list[float] = []
    spikes, values = x, x
    for module in net:
        values = module(values)
        if isinstance(module, nn.ReLU):
            density = share * float((values > 0).float().mean())
            found.append(threshold_for(spikes, density, decay))
            spikes = found[-1] * fire(spikes, found[-1], decay)
        else:
            spikes = module(spikes)
    return found


@torch.no_grad()
def by_spikes(
    net: nn.Sequential, x: Tensor, levels: Sequence[float], decay: float
) -> ActivityProfile:
    """What the convolutions receive where leaky neurons (:func:`fire`) stand for the rectifiers;
    one bin is one step."""
    tallies: dict[str, Tally] = {}
    states: dict[str, Tensor] = {}
    for step in x.split(1):
        value, scale, left = step, 1.0, iter(levels)
        for name, module in net.named_children():
            if isinstance(module, nn.Conv2d):
                tallies.setdefault(name, Tally(module, tuple(value.shape[1:]))).add(value)
                value = scale * F.conv2d(value, module.weight, padding=module.padding)
            elif isinstance(module, nn.ReLU):
                scale = next(left)
                h = decay * states.get(name, torch.zeros_like(value)) + value
                value = (h >= scale).float()
                states[name] = h - scale * value
            else:
                value = module(value)
    return _profile(tallies, "spike", "events")


def point(
    network: Network, x: Tensor, events_per_bin: float, bin_ms: float, ann: ActivityProfile,
    snn: ActivityProfile,
) -> dict[str, Any]:  # fmt: skip
    """Activity and energy per bin of both networks at one event rate."""
    priced = prices(network, Analog("frames", ann), Spiking("events", snn, 1, CONVOLUTIONS))
    return {
        "events_per_second": events_per_bin * 1000 / bin_ms,
        "active_share": float(x.mean()),
        "frame_operations": sum(network[name].n_synapses for name in CONVOLUTIONS),
        "frame_operations_nonzero": sum(ann[name].synaptic_operations for name in CONVOLUTIONS),
        "spike_operations": sum(snn[name].synaptic_operations for name in CONVOLUTIONS),
        "spikes_per_synapse": rate(network, snn, CONVOLUTIONS),
        "layers": {
            name: {
                "frame_density": 1 - ann[name].zero_fraction,
                "spike_density": snn[name].spikes_per_neuron,
                "spikes_per_synapse": snn[name].spikes_per_synapse,
            }
            for name in CONVOLUTIONS
        },
        "models": priced,
    }


def crossovers(points: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Model -> events per second above which the frame network needs less, and ``kind``.

    "measured": between two measured rates, on a straight line in log(rate), log(ratio).
    "above", "below": beyond the highest or lowest measured rate, which stands in its place: no
    line is drawn further. Spiking is then cheaper, or dearer, at every measured rate.
    """
    found = {}
    ordered = sorted(points, key=lambda one: one["events_per_second"])
    at = [math.log(one["events_per_second"]) for one in ordered]
    for key in ordered[0]["models"]:
        ratios = [one["models"][key]["ratio"] for one in ordered]
        if any(value is None for value in ratios):
            continue
        logs = [math.log(value) for value in ratios]
        place = next((i for i in range(len(logs) - 1) if logs[i] > 0 >= logs[i + 1]), None)
        if place is None:
            kind, crossing = ("above", at[-1]) if logs[-1] > 0 else ("below", at[0])
        else:
            slope = (logs[place + 1] - logs[place]) / (at[place + 1] - at[place])
            kind, crossing = "measured", at[place] - logs[place] / slope
        found[key] = {"events_per_second": math.exp(crossing), "kind": kind}
    return found


def measure(
    name: str, events: Events, bin_ms: int, weights: Path | None, size: int = SIZE
) -> dict[str, Any]:
    """One recording with bins of one length, at all rates and with all shares of spikes."""
    net = trunk(weights)
    network = tospike.load(net, torch.zeros(1, 1, size, size))
    whole = frames(events, bin_ms, size)
    decay = math.exp(-bin_ms / TAU_MS)
    first = max(0, len(whole) // 2 - N_CALIBRATION // 2)
    levels = {
        share: thresholds(net, whole[first : first + N_CALIBRATION], share, decay)
        for share in SHARES
    }
    points: dict[float, list[dict[str, Any]]] = {share: [] for share in SHARES}
    for factor in FACTORS:
        changed = events.at_rate(factor)
        n_bins = max(1, int(len(whole) / max(factor, 1.0)))
        x = frames(changed, bin_ms, size, n_bins)
        inside = int((changed.t < n_bins * bin_ms * 1000).sum())
        ann = by_frames(net, x)
        for share in SHARES:
            snn = by_spikes(net, x, levels[share], decay)
            made = point(network, x, inside / n_bins, bin_ms, ann, snn)
            points[share].append({"factor": factor} | made)
    return {
        "recording": name,
        "title": RECORDINGS[name][0],
        "bin_ms": bin_ms,
        "n_bins": len(whole),
        "settings": [
            {
                "share": share,
                "thresholds": levels[share],
                "points": points[share],
                "crossovers": crossovers(points[share]),
            }
            for share in SHARES
        ],
    }


def main(given: Sequence[str] | None = None) -> int:
    """Status 0, or 2 with a message on a user's error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each recording")
    parser.add_argument(
        "--recordings", nargs="+", choices=list(RECORDINGS), default=list(RECORDINGS)
    )
    asked = parser.parse_args(given)
    torch.set_num_threads(1)
    try:
        for bin_ms in reversed(BINS_MS):
            for name in asked.recordings:
                file = asked.out / f"events-{name}-{bin_ms}.json"
                if file.is_file():
                    continue
                events = read(name, asked.seconds)
                made = measure(name, events, bin_ms, asked.out / "ann.pt")
                write_atomically(file, (json.dumps(made, indent=1, allow_nan=False)).encode())
                for setting in made["settings"]:
                    one = setting["points"][0]
                    ratios = ", ".join(
                        f"{key} {value['ratio']:.2f}"
                        for key, value in one["models"].items()
                        if value["ratio"] is not None
                    )
                    print(
                        f"{name} {bin_ms} ms, share {setting['share']:g}: "
                        f"{one['events_per_second']:.0f} events/s, "
                        f"{one['spikes_per_synapse']:.4f} spikes per synapse and bin, "
                        f"energy frames / events: {ratios}",
                        flush=True,
                    )
    except TospikeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
