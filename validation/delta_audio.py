"""Speech, noises and measures of quality for the pre-trained networks."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
SONIC_PI = Path("/usr/share/sonic-pi/samples")
POCKETSPHINX = Path("/usr/share/pocketsphinx/test/data")
RATE = 16_000
#: samples of the five sentences in demo/nsnet2/speech.wav
SENTENCES = (113_600, 47_840, 84_800, 96_800, 52_640)
#: recordings of the Debian package sonic-pi-samples (CC0) that are noise or music, not one hit
NOISES = {
    "3d printer": "loop_3d_printer.flac",
    "steam": "ambi_sauna.flac",
    "safari": "loop_safari.flac",
    "drums": "loop_amen_full.flac",
    "tabla": "loop_tabla.flac",
}
#: other speakers in the Debian package pocketsphinx-testdata: headerless int16, 16 kHz
SPEAKERS = ("goforward.raw", "numbers.raw", "something.raw")
ACTIVE_DB = 40.0  # frames of speech: less than this below the loudest

Array = NDArray[np.float64]


@cache
def _module(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{path} is missing; run from a full checkout of the repository")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def features() -> ModuleType:
    """demo/nsnet2/features.py."""
    return _module("demo_nsnet2_features", ROOT / "demo" / "nsnet2" / "features.py")


def denoiser() -> ModuleType:
    """examples/denoise.py."""
    return _module("examples_denoise", ROOT / "examples" / "denoise.py")


def sentences() -> list[Array]:
    """The five embedded sentences."""
    speech = features().read_wav(features().SPEECH)
    return np.split(speech, np.cumsum(SENTENCES)[:-1])


def speakers() -> dict[str, Array]:
    """Recordings of other people, where the Debian package is installed."""
    found = {}
    for name in SPEAKERS:
        path = POCKETSPHINX / name
        if path.is_file():
            found[path.stem] = np.fromfile(path, "<i2") / 32768.0
    return found


def noises() -> dict[str, Array]:
    """The embedded hiss, and more where soundfile and the Debian package are installed."""
    found = {"vinyl hiss": features().read_wav(features().NOISE)}
    if importlib.util.find_spec("soundfile") is None:
        return found
    import soundfile
    from scipy.signal import resample_poly

    for name, file in NOISES.items():
        if (SONIC_PI / file).is_file():
            samples, rate = soundfile.read(SONIC_PI / file, always_2d=True)
            found[name] = resample_poly(samples.mean(axis=1), RATE, rate)
    return found


def resynthesised(spectra: NDArray[np.complex128], length: int) -> Array:
    """Spectra (T, 161) as sound, by the overlap-add of the example program."""
    synthesis = denoiser().Synthesis(1)
    hops = [synthesis(one[None])[0] for one in spectra]
    return np.concatenate(hops)[:length]


def si_snr(estimate: Array, reference: Array) -> float:
    """Scale-invariant signal-to-noise ratio in dB (Le Roux 2019), means taken off."""
    wanted, found = reference - reference.mean(), estimate - estimate.mean()
    target = (found @ wanted) / (wanted @ wanted) * wanted
    return float(10 * np.log10(np.sum(target**2) / np.sum((found - target) ** 2)))


def _frames(signal: Array, size: int = 480, hop: int = 240) -> Array:
    return np.lib.stride_tricks.sliding_window_view(signal, size)[::hop]


def _active(reference: Array) -> NDArray[np.bool_]:
    power = np.mean(_frames(reference) ** 2, axis=1)
    return np.asarray(power > power.max() * 10 ** (-ACTIVE_DB / 10))


def segmental_snr(estimate: Array, reference: Array) -> float:
    """Mean SNR in dB of the 30 ms frames with speech, each within -10 and 35 dB."""
    active = _active(reference)
    wanted, error = _frames(reference)[active], _frames(estimate - reference)[active]
    ratio = np.sum(wanted**2, axis=1) / np.maximum(np.sum(error**2, axis=1), 1e-20)
    return float(np.mean(np.clip(10 * np.log10(np.maximum(ratio, 1e-20)), -10, 35)))


def log_spectral_distance(estimate: Array, reference: Array) -> float:
    """Root mean square difference of log power spectra in dB, frames with speech.

    Powers below -50 dB of the loudest of the reference count as that.
    """
    active, window = _active(reference), np.hanning(480)
    powers = [
        np.abs(np.fft.rfft(_frames(signal)[active] * window)) ** 2
        for signal in (estimate, reference)
    ]
    floor = powers[1].max() * 1e-5
    one, two = (10 * np.log10(np.maximum(power, floor)) for power in powers)
    return float(np.mean(np.sqrt(np.mean((one - two) ** 2, axis=1))))


def stoi(estimate: Array, reference: Array) -> float | None:
    """Short-time objective intelligibility, 0 to 1; None without the package pystoi."""
    if importlib.util.find_spec("pystoi") is None:
        return None
    import pystoi

    return float(pystoi.stoi(reference, estimate, RATE))


def measures(estimate: Array, reference: Array) -> dict[str, Any]:
    """All measures of one recording."""
    return {
        "si_snr": si_snr(estimate, reference),
        "segmental_snr": segmental_snr(estimate, reference),
        "log_spectral_distance": log_spectral_distance(estimate, reference),
        "stoi": stoi(estimate, reference),
    }
