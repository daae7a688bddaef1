"""Networks that only a claim needs: ViT-G/14, MobileNetEdgeTPU, the convolutions of VGG-19.

Imported on use only: it imports torch. The layer tables are those of the sources named below,
written out as the same modules as in the zoo; without weights they take no memory.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tospike.network.zoo.sequence import Attention

#: (kind, blocks, kernel, stride of the first block, expansions first/others, channels)
#: "fused": one kxk convolution expands; "inverted": 1x1, depthwise kxk, 1x1
_EDGETPU = (
    ("fused", 4, 3, 2, (8, 4), 32),
    ("fused", 4, 3, 2, (8, 4), 48),
    ("inverted", 4, 3, 2, (8, 4), 96),
    ("inverted", 4, 3, 1, (8, 4), 96),
    ("inverted", 4, 5, 2, (8, 4), 160),
    ("inverted", 1, 3, 1, (8, 8), 192),
)
_VGG19 = (2, 64), (2, 128), (4, 256), (4, 512), (4, 512)


class _Block(nn.Module):
    """Pre-norm transformer block with an MLP of any width."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, width) -> (N, tokens, width)"""
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class VisionTransformerTrunk(nn.Module):
    """Patches, learned positions and encoder blocks; no class token and no head."""

    def __init__(
        self, image: int, *, patch: int, width: int, depth: int, heads: int, hidden: int
    ) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, width, patch, stride=patch)
        self.position = nn.Parameter(torch.zeros(1, (image // patch) ** 2, width))
        self.blocks = nn.Sequential(*(_Block(width, heads, hidden) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, image, image) -> (N, tokens, width)"""
        out: Tensor = self.norm(
            self.blocks(self.patch(x).flatten(2).transpose(1, 2) + self.position)
        )
        return out


def vit_g14(depth: int) -> nn.Module:
    """ViT-G/14 at 384 px (Zhai 2022; layer table as in timm) with ``depth`` of its 48 blocks."""
    return VisionTransformerTrunk(384, patch=14, width=1664, depth=depth, heads=16, hidden=8192)


def vit_b16(image: int) -> nn.Module:
    """ViT-B/16 through the same class, to compare it with the zoo's DeiT-Base."""
    return VisionTransformerTrunk(image, patch=16, width=768, depth=12, heads=12, hidden=3072)


def _unit(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    convolution = nn.Conv2d(
        inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )
    return [convolution, nn.BatchNorm2d(outputs)]


def mobilenet_edgetpu() -> nn.Module:
    """MobileNetEdgeTPU 1.0, 224x224 (layer table as in timm, ``mobilenet_edgetpu_100``).

    The residual additions are left out: they have no MACs and no parameters.
    """
    layers = [*_unit(3, 32, 3, 2), nn.ReLU(), *_unit(32, 16, 1), nn.ReLU()]
    channels = 16
    for kind, blocks, kernel, stride, (first, others), outputs in _EDGETPU:
        for index in range(blocks):
            hidden = channels * (others if index else first)
            step = 1 if index else stride
            if kind == "fused":
                layers += [*_unit(channels, hidden, kernel, step), nn.ReLU()]
            else:
                layers += [*_unit(channels, hidden, 1), nn.ReLU()]
                layers += [*_unit(hidden, hidden, kernel, step, groups=hidden), nn.ReLU()]
            layers += _unit(hidden, outputs, 1)
            channels = outputs
    layers += [*_unit(channels, 1280, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000))


def vgg19_convolutions() -> nn.Module:
    """The 16 convolutions of VGG-19 (Simonyan 2015, configuration E), 224x224."""
    layers: list[nn.Module] = []
    channels = 3
    for count, width in _VGG19:
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


#: name -> (factory, input shape of one sample)
FACTORIES: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "vit_g14_1_block": (lambda: vit_g14(1), (3, 384, 384)),
    "vit_g14_2_blocks": (lambda: vit_g14(2), (3, 384, 384)),
    "vit_b16_trunk": (lambda: vit_b16(224), (3, 224, 224)),
    "mobilenet_edgetpu": (mobilenet_edgetpu, (3, 224, 224)),
    "vgg19_convolutions": (vgg19_convolutions, (3, 224, 224)),
}
