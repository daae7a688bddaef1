"""ResNets: 18/34/50 for ImageNet, 11 and 19 of the SNN literature for CIFAR-10."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)


class Block(nn.Module):
    """A residual block: ``relu(norm(body(x)) + shortcut(x))``."""

    def __init__(self, body: nn.Sequential, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)"""
        out: Tensor = self.relu(self.body(x) + self.shortcut(x))
        return out


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
    )


def basic_block(inputs: int, outputs: int, stride: int) -> Block:
    """Two 3x3 convolutions (He 2016, Fig. 5 left)."""
    body = nn.Sequential(
        *(_conv3(inputs, outputs, stride), nn.BatchNorm2d(outputs), nn.ReLU()),
        *(_conv3(outputs, outputs), nn.BatchNorm2d(outputs)),
    )
    return Block(body, _shortcut(inputs, outputs, stride))


def bottleneck(inputs: int, outputs: int, stride: int) -> Block:
    """1x1, 3x3, 1x1 (He 2016, Fig. 5 right), with the stride in the 3x3 ("v1.5")."""
    width = outputs // 4
    body = nn.Sequential(
        *(nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
        *(_conv3(width, width, stride), nn.BatchNorm2d(width), nn.ReLU()),
        *(nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)),
    )
    return Block(body, _shortcut(inputs, outputs, stride))


class ResNet(nn.Module):
    """Stem, stages of blocks, global average pooling, head."""

    def __init__(self, stem: nn.Sequential, stages: nn.Sequential, head: nn.Sequential) -> None:
        super().__init__()
        self.stem = stem
        self.stages = stages
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, classes)"""
        x = self.pool(self.stages(self.stem(x)))
        out: Tensor = self.head(torch.flatten(x, 1))
        return out


def _imagenet_stem() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, padding=1),
    )


def _basic_stages(inputs: int, widths: tuple[int, ...], blocks: tuple[int, ...]) -> nn.Sequential:
    stages = []
    for index, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        first = basic_block(inputs, width, 2 if index else 1)
        stages.append(
            nn.Sequential(first, *(basic_block(width, width, 1) for _ in range(count - 1)))
        )
        inputs = width
    return nn.Sequential(*stages)


def resnet18() -> nn.Module:
    """ResNet-18, ImageNet 224x224."""
    stages = _basic_stages(64, (64, 128, 256, 512), (2, 2, 2, 2))
    return ResNet(_imagenet_stem(), stages, nn.Sequential(nn.Linear(512, 1000)))


def resnet34() -> nn.Module:
    """ResNet-34, ImageNet 224x224."""
    stages = _basic_stages(64, (64, 128, 256, 512), (3, 4, 6, 3))
    return ResNet(_imagenet_stem(), stages, nn.Sequential(nn.Linear(512, 1000)))


def resnet50() -> nn.Module:
    """ResNet-50 v1.5, ImageNet 224x224."""
    stages = []
    inputs = 64
    for index, (outputs, count) in enumerate(
        zip((256, 512, 1024, 2048), (3, 4, 6, 3), strict=True)
    ):
        first = bottleneck(inputs, outputs, 2 if index else 1)
        stages.append(
            nn.Sequential(first, *(bottleneck(outputs, outputs, 1) for _ in range(count - 1)))
        )
        inputs = outputs
    head = nn.Sequential(nn.Linear(2048, 1000))
    return ResNet(_imagenet_stem(), nn.Sequential(*stages), head)


def resnet19() -> nn.Module:
    """ResNet-19 of the SNN literature (tdBN, TET): 3, 3, 2 blocks of 128, 256, 512, two FC."""
    stem = nn.Sequential(_conv3(3, 128), nn.BatchNorm2d(128), nn.ReLU())
    stages = _basic_stages(128, (128, 256, 512), (3, 3, 2))
    head = nn.Sequential(nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))
    return ResNet(stem, stages, head)


def _plain_block(
    inputs: int, outputs: int, stride: int, *, project: bool, subsample: bool = False
) -> Block:
    """Block of ResNet-11: no norm; the stride sits in the second convolution."""
    body = nn.Sequential(_conv3(inputs, outputs), nn.ReLU(), _conv3(outputs, outputs, stride))
    if project:
        return Block(body, nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False))
    return Block(body, nn.AvgPool2d(1, stride) if subsample else nn.Identity())


class ResNet11(nn.Module):
    """Lee et al. 2020: one convolution, four residual blocks, two FC; no norm and no bias."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv3(3, 64), nn.ReLU(), nn.AvgPool2d(2))
        self.blocks = nn.Sequential(
            _plain_block(64, 128, 1, project=True),
            _plain_block(128, 256, 2, project=True),
            _plain_block(256, 512, 1, project=True),
            _plain_block(512, 512, 2, project=False, subsample=True),
        )
        self.head = nn.Sequential(
            nn.Linear(8192, 1024, bias=False), nn.ReLU(), nn.Linear(1024, 10, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 32, 32) -> (N, 10)"""
        out: Tensor = self.head(torch.flatten(self.blocks(self.stem(x)), 1))
        return out


def resnet11() -> nn.Module:
    """ResNet-11 of Lee et al. 2020, CIFAR-10."""
    return ResNet11()
