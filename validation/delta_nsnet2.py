"""NSNet2 as a delta network: quality, traffic, time and energy on real speech and noises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import delta_audio as audio
import delta_steps as steps
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import tospike as ts
from tospike.conversion.delta.from_onnx import load_chain
from tospike.conversion.delta.replace import delta_network
from tospike.conversion.delta.search import search_thresholds, with_thresholds

THETAS = (0.0, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4)
SNRS = (0.0, 5.0, 10.0, 20.0)
#: dB of SI-SNR that tuned thresholds may lose on the worst recording of the tuning data
LOSSES = (0.1, 0.3)
TUNING_NOISES, TUNING_SNRS = ("vinyl hiss", "3d printer", "drums"), (0.0, 20.0)
N_TUNING = 2  # sentences
TUNING_S = 7.0  # seconds of them
LINEAR = ("0", "4", "6", "8")
MEASURES = ("si_snr", "segmental_snr", "log_spectral_distance", "stoi")

Report = Callable[[str], None]
Row = dict[str, Any]


class Mixture:
    """Speech with one noise at one SNR: what the network takes, and what it should give."""

    def __init__(self, speech: NDArray[np.float64], noise: NDArray[np.float64], snr: float) -> None:
        features = audio.features()
        self.clean = speech
        self.spectra = features.spectrum(features.mix(speech, noise, snr))
        self.features = features.log_power(self.spectra)

    def sound(self, gain: NDArray[np.float32] | float) -> NDArray[np.float64]:
        """The recording with the gains (T, 161) applied."""
        limited = np.clip(gain, audio.denoiser().LEAST_GAIN, 1.0)
        return audio.resynthesised(self.spectra * limited, len(self.clean))

    def quality(self, gain: NDArray[np.float32] | float) -> Row:
        """All measures with these gains."""
        return audio.measures(self.sound(gain), self.clean)


def mixtures(quick: bool) -> dict[tuple[str, float], Mixture]:
    """The test data: the last three sentences with every noise at every SNR."""
    speech = np.concatenate(audio.sentences()[N_TUNING:])
    noises = audio.noises()
    if quick:
        first = next(iter(noises))
        return {(first, 5.0): Mixture(speech[: 2 * audio.RATE], noises[first], 5.0)}
    return {
        (name, snr): Mixture(speech, noise, snr) for name, noise in noises.items() for snr in SNRS
    }


def run(program: Any, mixture: Mixture) -> Row:
    """One recording through a compiled program: quality and what was read."""
    program.reset()
    program.reset_statistics()
    gain = program.run(mixture.features)
    layers = steps.sent_layers(program)
    recurrent = [one for one in layers if one.recurrent]
    gru, gru_dense = steps.traffic(recurrent, bursts=False)
    everything, dense = steps.traffic(layers, bursts=False)
    return {
        **mixture.quality(gain),
        "gru_traffic": gru / gru_dense,
        "traffic": everything / dense,
        "sent": [(one.sent_x / one.inputs, one.sent_h / one.hidden) for one in layers],
    }


def sweep(chain: nn.Module, data: Mapping[tuple[str, float], Mixture], report: Report) -> list[Row]:
    """The unchanged network with one threshold for all GRUs, on all test data."""
    rows: list[Row] = []
    for (noise, snr), mixture in data.items():
        where = {"noise": noise, "snr_db": snr}
        rows.append({**where, "network": "none", **mixture.quality(1.0)})
    for storage in ("float32", "int8"):
        for theta in THETAS:
            program = ts.compile(delta_network(chain, theta), storage=storage)
            for (noise, snr), mixture in data.items():
                found = run(program, mixture)
                rows.append(
                    {"noise": noise, "snr_db": snr, "network": "delta", "theta": theta,
                     "storage": storage, **found}
                )  # fmt: skip
            report(f"NSNet2 {storage}, threshold {theta:g}")
    return rows


def _batch(quick: bool) -> tuple[torch.Tensor, list[Mixture]]:
    """Tuning data (B, T, 161): the first two sentences with some noises at the extreme SNRs."""
    seconds = 1.0 if quick else TUNING_S
    speech = np.concatenate(audio.sentences()[:N_TUNING])[-int(seconds * audio.RATE) :]
    noises = [noise for name, noise in audio.noises().items() if name in TUNING_NOISES]
    made = [Mixture(speech, noise, snr) for noise in noises for snr in TUNING_SNRS]
    made = made[:1] if quick else made
    return torch.from_numpy(np.stack([one.features for one in made])), made


def tuned(
    chain: nn.Module, data: Mapping[tuple[str, float], Mixture], quick: bool, report: Report
) -> list[Row]:
    """Thresholds per layer by greedy search on the tuning data, measured on the test data."""
    batch, made = _batch(quick)

    def si_snrs(network: nn.Module) -> NDArray[np.float64]:
        gains = network(batch).numpy()
        return np.array(
            [
                audio.si_snr(one.sound(gain), one.clean)
                for one, gain in zip(made, gains, strict=True)
            ]
        )

    network = delta_network(chain, 0.0, linear=LINEAR)
    with torch.no_grad():
        dense = si_snrs(network)

    def score(network: nn.Module) -> float:
        return float((si_snrs(network) - dense).min())

    rows = []
    for loss in LOSSES[:1] if quick else LOSSES:
        found = search_thresholds(
            network, score, -loss, first=2.0**-5, highest=4.0, refine=0 if quick else 1,
            weight_bits=8,
        )  # fmt: skip
        report(f"NSNet2 tuned for {loss} dB: {len(found.path)} trials")
        thetas = {f"{name} {which}": value for (name, _, which), value in found.thetas.items()}
        program = ts.compile(with_thresholds(network, found.thetas), storage="int8")
        rows.append(
            {
                "loss_db": loss,
                "trials": len(found.path),
                "tuning_loss_db": -found.score,
                "thetas": thetas,
                "rows": [
                    {"noise": noise, "snr_db": snr, "storage": "int8", **run(program, mixture)}
                    for (noise, snr), mixture in data.items()
                ],
            }
        )
    return rows


class TorchStep:
    """The dense chain in PyTorch, one frame per call."""

    def __init__(self, chain: nn.Module) -> None:
        self.parts = list(chain.children())
        self.states: list[torch.Tensor | None] = [None] * len(self.parts)

    def __call__(self, frame: NDArray[np.float32]) -> NDArray[np.float32]:
        values = torch.from_numpy(frame)[None]
        with torch.inference_mode():
            for i, part in enumerate(self.parts):
                if isinstance(part, nn.RNNBase):
                    values, self.states[i] = part(values, self.states[i])
                else:
                    values = part(values)
        return np.asarray(values[0].numpy())


def times(
    chain: nn.Module, path: Path, frames: NDArray[np.float32], best: nn.Module
) -> dict[str, Any]:
    """Microseconds per frame of the whole network, one thread each."""
    dense = audio.denoiser().DenseStream(path)
    contenders: dict[str, steps.Step] = {
        "ONNX Runtime, float32": lambda frame: dense.step(frame[None]),
        "PyTorch, float32": TorchStep(chain),
    }
    programs = {
        f"delta {theta:g}, {storage}": ts.compile(delta_network(chain, theta), storage=storage)
        for storage in ("float32", "int8")
        for theta in (0.0, 1 / 16, 1 / 8)
    }
    programs["delta tuned, int8"] = ts.compile(best, storage="int8")
    contenders |= {name: program.step for name, program in programs.items()}
    return {
        "steps": steps.step_times(contenders, list(frames)),
        "frames": len(frames),
        "load_average": steps.load_average(),
    }


def energies(chain: nn.Module, mixture: Mixture, programs: Mapping[str, Any]) -> list[Row]:
    """Modelled energy of one frame, weights in SRAM and in DRAM."""
    rows: list[Row] = []
    for name, program in programs.items():
        run(program, mixture)
        layers = steps.sent_layers(program)
        for memory in ("sram", "dram"):
            rows.append(
                {
                    "network": name,
                    "memory": memory,
                    "delta_j": steps.energy(layers, delta=True, memory=memory),
                    "dense_j": steps.energy(layers, delta=False, memory=memory),
                }
            )
    return rows


def tuned_network(chain: nn.Module, found: Row) -> nn.Module:
    """The network with the thresholds of one record of :func:`tuned`."""
    network = delta_network(chain, 0.0, linear=LINEAR)
    keys = {(key.split()[0], 0, key.split()[1]): v for key, v in found["thetas"].items()}
    return with_thresholds(network, keys)


def retime(result: Row) -> dict[str, Any]:
    """The times of a kept result, measured again."""
    path = audio.features().model_path()
    chain = load_chain(path)
    speech = np.concatenate(audio.sentences()[N_TUNING:])
    mixture = Mixture(speech, audio.noises()["vinyl hiss"], 5.0)
    return times(chain, path, mixture.features[:1000], tuned_network(chain, result["tuned"][-1]))


def measure(quick: bool, report: Report) -> dict[str, Any]:
    """Everything about NSNet2 at 16 kHz."""
    path = audio.features().model_path()
    chain = load_chain(path)
    data = mixtures(quick)
    rows = sweep(chain, data, report)
    found = tuned(chain, data, quick, report)
    mixture = data.get(("vinyl hiss", 5.0), next(iter(data.values())))
    programs = {
        f"theta {theta:g}": ts.compile(delta_network(chain, theta), storage="int8")
        for theta in THETAS[3:]
    }
    for one in found:
        name = f"tuned, {one['loss_db']} dB"
        programs[name] = ts.compile(tuned_network(chain, one), storage="int8")
    report("NSNet2: times")
    frames = mixture.features[: 60 if quick else 1000]
    return {
        "test_speech_s": len(mixture.clean) / audio.RATE,
        "tuning_speech_s": TUNING_S,
        "noises": list(dict.fromkeys(noise for noise, _ in data)),
        "snrs_db": sorted({snr for _, snr in data}),
        "rows": rows,
        "tuned": found,
        "times": times(chain, path, frames, tuned_network(chain, found[-1])),
        "energy": energies(chain, mixture, programs),
    }
