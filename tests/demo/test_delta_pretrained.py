"""validation/delta_pretrained.py works on tiny data, and its measures are what they say."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from tospike.activity.measure import measure

VALIDATION = Path(__file__).resolve().parents[2] / "validation"
sys.path.insert(0, str(VALIDATION))


def module(name: str) -> ModuleType:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, VALIDATION / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        made = importlib.util.module_from_spec(spec)
        sys.modules[name] = made
        spec.loader.exec_module(made)
    return sys.modules[name]


pretrained, audio, video, voices, steps = (
    module(name)
    for name in (
        "delta_pretrained", "delta_audio", "delta_video", "delta_voices", "delta_steps",
    )
)  # fmt: skip


@pytest.mark.parametrize(
    ("part", "package"), [("video", "numpy"), ("silero", "silero_vad")], ids=lambda value: value
)
def test_quick_run(part: str, package: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    assert pretrained.main(["--quick", "--out", str(tmp_path), "--parts", part]) == 0
    data = json.loads((tmp_path / pretrained.RESULT).read_text())
    assert list(data["parts"]) == [part]
    text = pretrained.sections(data)
    assert text.startswith("## ")
    assert "What falls short" in text
    assert "nan" not in text


def test_options(tmp_path: Path) -> None:
    for wrong in (["--quick"], ["--parts", "everything", "--out", str(tmp_path)]):
        with pytest.raises(SystemExit, match="2"):
            pretrained.main(wrong)
    (tmp_path / pretrained.RESULT).write_text("{")
    assert pretrained.main(["--quick", "--out", str(tmp_path), "--parts", "video"]) == 2


def test_si_snr_of_known_mixtures() -> None:
    rng = np.random.default_rng(0)
    speech, noise = rng.standard_normal((2, 16_000))
    speech -= speech.mean()
    noise -= noise.mean()
    noise -= (noise @ speech) / (speech @ speech) * speech
    noise *= np.linalg.norm(speech) / np.linalg.norm(noise)
    for wanted in (0.0, 10.0, 30.0):
        mixed = speech + 10 ** (-wanted / 20) * noise
        assert audio.si_snr(3.0 * mixed, speech) == pytest.approx(wanted, abs=1e-6)
        # every 30 ms segment of stationary noise has about the ratio of the whole
        assert audio.segmental_snr(mixed, speech) == pytest.approx(wanted, abs=0.5)


def test_measures_at_their_ends() -> None:
    rng = np.random.default_rng(1)
    speech = rng.standard_normal(16_000)
    assert audio.log_spectral_distance(speech, speech) == 0
    # a factor of 10 is 20 dB in every band, but for the few bins at the floor
    assert audio.log_spectral_distance(10 * speech, speech) == pytest.approx(20.0, abs=0.01)
    assert audio.segmental_snr(speech, speech) == 35.0
    assert audio.segmental_snr(-9 * speech, speech) == -10.0


def test_mel_filters_have_equal_area() -> None:
    # triangles of height 2 / width: each integrates to 1 over frequency
    filters = voices.mel_filters(40, 16_384)
    areas = filters.sum(axis=1) * audio.RATE / 16_384
    np.testing.assert_allclose(areas, 1.0, atol=0.02)
    assert (filters >= 0).all()


@pytest.mark.parametrize("theta_steps", [0.0, 3.0])
def test_sparsity_of_the_first_layer_is_that_of_measure(theta_steps: float) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 3)).eval()
    frames = torch.randint(0, 256, (6, 2, 8, 8)).float()
    frames[0, 0, 0, 0] = 255.0
    found = video.run(model, list(frames[:, None]), (theta_steps,), lambda _: None)
    ours = {row["steps"]: row["layers"][0]["temporal_sparsity"] for row in found}
    # tospike counts the first frame too, all of it sent but what is 0 within the threshold
    theta = theta_steps * 1.0
    profile = measure(model, frames, sequence=True, thresholds=(theta,))
    still = float((frames[0].abs() <= theta).sum())
    whole = profile["0"].temporal_sparsity[theta] * frames.numel()
    assert (whole - still) / frames[1:].numel() == pytest.approx(ours[theta_steps], abs=0.02)


def test_references_feed_the_next_layer() -> None:
    """With a threshold above all changes, every frame gives the output of the first."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 1, 3)).eval()
    frames = torch.rand(4, 1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(), video.watched(model) as layers:
        model(frames[0])
        for watch in layers.values():
            watch.start(1e9)
        outputs = [model(one) for one in frames]
    for one in outputs[1:]:
        torch.testing.assert_close(one, outputs[0])
    assert all(watch.sent == 0 for watch in layers.values())


def test_energy_follows_the_traffic() -> None:
    layer = steps.Sent("gru", 400, 400, 3, 40.0, 40.0)
    assert steps.traffic([layer], bursts=False) == (80 * 1200.0, 800 * 1200.0)
    assert steps.traffic([layer], bursts=True) == (80 * 1216.0, 800 * 1216.0)
    for memory in ("sram", "dram"):
        dense, sparse = (steps.energy([layer], delta=d, memory=memory) for d in (False, True))
        # a tenth of the columns, and something for references and sums
        assert 5.0 < dense / sparse < 10.0
    ratio = steps.energy([layer], delta=True, memory="dram") / steps.energy(
        [layer], delta=True, memory="sram"
    )
    assert ratio > 5.0
