"""Bad data give one clear error; good data come back as written."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from tospike.activity.data import check_data, read_data, read_labels
from tospike.errors import DataError


def test_npz_round_trip(tmp_path: Path) -> None:
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    np.savez(tmp_path / "d.npz", x=x, y=np.array([0, 1, 2, 1]))
    data = read_data(tmp_path / "d.npz")
    np.testing.assert_array_equal(data.x, x)
    assert data.y is not None
    assert data.y.tolist() == [0, 1, 2, 1]


def test_uint8_is_scaled_and_said(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", np.full((2, 3), 255, np.uint8))
    data = read_data(tmp_path / "d.npy")
    assert data.x.dtype == np.float32
    assert (data.x == 1).all()
    assert data.notes == ("uint8 values were taken as pixels and divided by 255",)


def test_pt_forms(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    x = torch.rand(3, 2)
    for held in (x, (x, torch.tensor([0, 1, 0])), {"x": x, "y": torch.tensor([0, 1, 0])}):
        torch.save(held, tmp_path / "d.pt")
        np.testing.assert_array_equal(read_data(tmp_path / "d.pt").x, x.numpy())


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_wav_full_scale(tmp_path: Path, width: int) -> None:
    values = np.array([0.0, 0.5, -0.5, -1.0])
    integers = np.round(values * 2 ** (8 * width - 1)).astype(np.int64)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(16000)
        if width == 1:
            file.writeframes((integers + 128).astype(np.uint8).tobytes())
        else:
            raw = integers.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :width]
            file.writeframes(raw.tobytes())
    np.testing.assert_allclose(read_data(tmp_path / "a.wav").x, values[None], atol=1e-9)


def test_image_folder_with_classes(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for index, name in enumerate(["cat", "dog"]):
        (tmp_path / name).mkdir()
        pixels = np.full((4, 5, 3), 51 * (index + 1), np.uint8)
        image.fromarray(pixels).save(tmp_path / name / "1.png")
    data = read_data(tmp_path)
    assert data.x.shape == (2, 3, 4, 5)
    np.testing.assert_allclose(data.x[:, 0, 0, 0], [0.2, 0.4], rtol=1e-6)
    assert data.y is not None
    assert data.y.tolist() == [0, 1]


def test_all_reasons_at_once() -> None:
    x = np.ones((3, 2))
    x[1, 0] = np.nan
    with pytest.raises(DataError) as caught:
        check_data(x, np.array([0, 1]), origin="numbers")
    assert str(caught.value) == (
        "cannot use the data 'numbers'\n"
        "  allowed: a finite numeric array, samples first, and one integer label per sample\n"
        "  fix: check how the file was written\n"
        "  reasons:\n"
        "    - x has 1 NaN or infinite values, the first at index (1, 0)\n"
        "    - 2 labels for 3 samples"
    )


@pytest.mark.parametrize(
    ("x", "y", "part"),
    [
        (np.zeros((0, 3)), None, "x is empty"),
        (np.array(["a"]), None, "numbers are needed"),
        (np.zeros((2, 1)), np.zeros((2, 2), int), "one integer per sample"),
        (np.zeros((2, 1)), np.array([0.5, 1]), "integers are needed"),
        (np.zeros((2, 1)), np.array([-1, 1]), ">= 0"),
    ],
)
def test_bad_arrays(x: np.ndarray, y: np.ndarray | None, part: str) -> None:
    with pytest.raises(DataError, match=part):
        check_data(x, y)


def test_missing_and_unknown_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        read_data(tmp_path / "none.npz")
    (tmp_path / "a.bin").write_bytes(b"abc")
    with pytest.raises(DataError, match=r"ending in '.bin'"):
        read_data(tmp_path / "a.bin")
    with pytest.raises(DataError, match="0 images"):
        read_data(tmp_path)
    (tmp_path / "l.txt").write_text("1\ntwo\n")
    with pytest.raises(DataError, match="invalid literal"):
        read_labels(tmp_path / "l.txt")


def test_pickles_are_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    np.save(tmp_path / "o.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(DataError):
        read_data(tmp_path / "o.npy")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "m.pt")
    with pytest.raises(DataError):
        read_data(tmp_path / "m.pt")


def samples(folder: Path) -> list[Path]:
    """One small valid file of each form."""
    import torch
    from PIL import Image

    x = np.arange(64, dtype=np.float32).reshape(4, 16)
    np.savez(folder / "a.npz", x=x, y=np.arange(4))
    np.savez_compressed(folder / "c.npz", x=x)
    np.save(folder / "a.npy", x)
    torch.save({"x": torch.from_numpy(x)}, folder / "a.pt")
    with wave.open(str(folder / "a.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(x.astype("<i2").tobytes())
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "a.png")
    return [folder / name for name in ("a.npz", "c.npz", "a.npy", "a.pt", "a.wav", "a.png")]


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_give_data_errors_only(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    valid = tmp_path / "valid"
    valid.mkdir()
    refused = 0
    for path in samples(valid):
        whole = path.read_bytes()
        for trial in range(40):
            damaged = bytearray(whole)
            if trial % 3 == 0:
                damaged = damaged[: rng.integers(0, len(whole))]
            elif trial % 3 == 1:
                for place in rng.integers(0, len(whole), size=8):
                    damaged[place] = rng.integers(0, 256)
            else:
                damaged = bytearray(rng.bytes(int(rng.integers(1, 200))))
            folder = tmp_path / f"{path.name}-{trial}"
            folder.mkdir()
            target = folder / path.name
            target.write_bytes(bytes(damaged))
            try:
                read_data(folder if path.suffix == ".png" else target)
            except DataError:
                refused += 1
    assert refused > 120  # of 240; a flipped payload byte may still be a valid number
