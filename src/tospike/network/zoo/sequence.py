"""DeiT-Base, DS-CNN for keyword spotting, and the recurrent networks 2L-768H GRU and NSNet2."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head self-attention with its two products of activations written out."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, width) -> (N, tokens, width)"""
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(torch.matmul(query, key.transpose(-2, -1)) * self.scale, dim=-1)
        mixed = torch.matmul(weights, value).transpose(1, 2).reshape(batch, tokens, width)
        out: Tensor = self.proj(mixed)
        return out


class EncoderBlock(nn.Module):
    """Pre-norm transformer block (Dosovitskiy 2021, eqs. 2 and 3)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, width) -> (N, tokens, width)"""
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class VisionTransformer(nn.Module):
    """16x16 patches, one class token, learned positions, linear head."""

    def __init__(self, width: int, depth: int, heads: int, tokens: int) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, width, 16, stride=16)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.zeros(1, tokens, width))
        self.blocks = nn.Sequential(*(EncoderBlock(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 224, 224) -> (N, 1000)"""
        patches = self.patch(x).flatten(2).transpose(1, 2)
        first = self.class_token.expand(patches.shape[0], -1, -1)
        tokens = torch.cat((first, patches), dim=1) + self.position
        out: Tensor = self.head(self.norm(self.blocks(tokens))[:, 0])
        return out


def deit_base() -> nn.Module:
    """DeiT-Base without distillation token (= ViT-B/16), 224x224."""
    return VisionTransformer(768, 12, 12, 197)


class DsCnn(nn.Module):
    """Depthwise separable CNN on a 49x10 MFCC map, batch norm folded into the biases."""

    def __init__(self, width: int, first_stride: tuple[int, int], strides: tuple[int, ...]) -> None:
        super().__init__()
        # 10x4 kernels on 49x10 with "SAME" padding: output 25 x 10/stride.
        columns = (1, 1, 4, 5) if first_stride[1] == 2 else (1, 2, 4, 5)
        layers: list[nn.Module] = [
            nn.ZeroPad2d(columns),
            nn.Conv2d(1, width, (10, 4), stride=first_stride),
            nn.ReLU(),
        ]
        for stride in strides:
            layers += [
                nn.Conv2d(width, width, 3, stride=stride, padding=1, groups=width),
                nn.ReLU(),
                nn.Conv2d(width, width, 1),
                nn.ReLU(),
            ]
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(width, 12)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, 49, 10) -> (N, 12)"""
        out: Tensor = self.fc(torch.flatten(self.pool(self.features(x)), 1))
        return out


def ds_cnn() -> nn.Module:
    """DS-CNN small: 64 channels, four depthwise separable blocks."""
    return DsCnn(64, (2, 2), (1, 1, 1, 1))


def ds_cnn_m() -> nn.Module:
    """DS-CNN medium: 172 channels, four depthwise separable blocks."""
    return DsCnn(172, (2, 1), (2, 1, 1, 1))


def ds_cnn_l() -> nn.Module:
    """DS-CNN large: 276 channels, five depthwise separable blocks."""
    return DsCnn(276, (2, 1), (2, 1, 1, 1, 1))


class StackedGru(nn.Module):
    """A stack of GRU layers; one inference is one time step."""

    def __init__(self, inputs: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, hidden, layers, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, inputs) -> (N, T, hidden)"""
        out: Tensor = self.gru(x)[0]
        return out


def gru_2l_768h() -> nn.Module:
    """The 2L-768H GRU of EdgeDRNN: 40 inputs, two layers of 768."""
    return StackedGru(40, 768, 2)


class NsNet2(nn.Module):
    """FC-ReLU, two GRU-400, FC-600-ReLU twice, FC with sigmoid gains per frequency bin."""

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(bins, 400)
        self.gru = nn.GRU(400, 400, 2, batch_first=True)
        self.fc2 = nn.Linear(400, 600)
        self.fc3 = nn.Linear(600, 600)
        self.fc4 = nn.Linear(600, bins)

    def forward(self, x: Tensor) -> Tensor:
        """(N, frames, bins) -> gains (N, frames, bins)"""
        x = self.gru(torch.relu(self.fc1(x)))[0]
        x = torch.relu(self.fc3(torch.relu(self.fc2(x))))
        return torch.sigmoid(self.fc4(x))


def nsnet2() -> nn.Module:
    """NSNet2 with the 257 frequency bins of its paper; published ONNX files also have 161."""
    return NsNet2(257)
