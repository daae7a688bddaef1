"""Make ``speech.wav`` and ``noise.wav`` from two Debian packages (only needed to redo them).

Run from the repository root, with numpy, scipy and soundfile installed::

    python demo/nsnet2/make_audio.py

speech: the five LibriVox sentences of ``pocketsphinx-testdata`` in their order, end to end.
noise : ``vinyl_hiss.flac`` of ``sonic-pi-samples``, mixed to mono, 44.1 -> 16 kHz.
"""

from __future__ import annotations

import argparse
import wave
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
RATE = 16_000  # Hz
SPEECH = Path("/usr/share/pocketsphinx/test/data/librivox")
NOISE = Path("/usr/share/sonic-pi/samples/vinyl_hiss.flac")


def write_wav(path: Path, pcm: np.ndarray) -> None:
    """Write int16 ``(n,)`` as a 16 kHz mono file; the same samples give the same bytes."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm.astype("<i2").tobytes())


def speech(folder: Path) -> np.ndarray:
    """Join the sentences unchanged: int16 ``(n,)``."""
    names = (folder / "fileids").read_text("utf-8").split()
    parts = []
    for name in names:
        with wave.open(str(folder / f"{name}.wav"), "rb") as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
                raise SystemExit(f"error: {name}.wav is not 16 kHz mono int16")
            parts.append(np.frombuffer(file.readframes(file.getnframes()), dtype="<i2"))
    return np.concatenate(parts)


def noise(path: Path) -> np.ndarray:
    """Mono, 16 kHz, int16 ``(n,)``; the level is kept."""
    import soundfile
    from scipy.signal import resample_poly

    samples, rate = soundfile.read(path, always_2d=True)
    if rate != 44_100:
        raise SystemExit(f"error: {path.name} has {rate} Hz instead of 44100 Hz")
    mono = resample_poly(samples.mean(axis=1), 160, 441)
    return np.clip(np.round(mono * 32768), -32768, 32767).astype(np.int16)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech-dir", type=Path, default=SPEECH)
    parser.add_argument("--noise-file", type=Path, default=NOISE)
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    for path, package in (
        (args.speech_dir / "fileids", "pocketsphinx-testdata"),
        (args.noise_file, "sonic-pi-samples"),
    ):
        if not path.is_file():
            raise SystemExit(f"error: {path} not found; install the Debian package {package}")
    for name, pcm in (
        ("speech.wav", speech(args.speech_dir)),
        ("noise.wav", noise(args.noise_file)),
    ):
        write_wav(args.out / name, pcm)
        print(f"{name}: {len(pcm) / RATE:.2f} s, {(args.out / name).stat().st_size} bytes")


if __name__ == "__main__":
    main()
