"""AlexNet, VGG and MobileNet v1, written out from their papers. Weights are random or absent."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

#: "M" halves the map by 2x2 max pooling, "A" by 2x2 average pooling, a number is a 3x3 convolution
Plan = Sequence[int | str]

VGG11_PLAN: Plan = (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M")
VGG16_PLAN: Plan = (
    *(64, 64, "M", 128, 128, "M", 256, 256, 256, "M"),
    *(512, 512, 512, "M", 512, 512, 512, "M"),
)
VGG19_PLAN: Plan = (
    *(64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M"),
    *(512, 512, 512, 512, "M", 512, 512, 512, 512, "M"),
)
VGG8_PLAN: Plan = (128, 128, "M", 256, 256, "M", 512, 512, "M")
VGG9_PLAN: Plan = (64, 64, "A", 128, 128, "A", 256, 256, 256, "A")


class Convolutional(nn.Module):
    """``features`` (convolutions), flatten, ``classifier`` (fully connected layers)."""

    def __init__(self, features: nn.Sequential, classifier: nn.Sequential) -> None:
        super().__init__()
        self.features = features
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, classes)"""
        out: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return out


def _fully_connected(widths: Sequence[int], *, bias: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index, (wide, narrow) in enumerate(pairwise(widths)):
        if index:
            layers.append(nn.ReLU())
        layers.append(nn.Linear(wide, narrow, bias=bias))
    return nn.Sequential(*layers)


def _plan(plan: Plan, *, bias: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for item in plan:
        if item == "M":
            layers.append(nn.MaxPool2d(2))
        elif item == "A":
            layers.append(nn.AvgPool2d(2))
        else:
            width = int(item)
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=bias), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers)


def alexnet() -> nn.Module:
    """AlexNet with two groups in layers 2, 4, 5 on 227x227, as accelerator papers count it."""
    features = nn.Sequential(
        *(nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
    )
    return Convolutional(features, _fully_connected((9216, 4096, 4096, 1000)))


def alexnet_torchvision() -> nn.Module:
    """The one-column AlexNet (64-192-384-256-256, no groups, 224x224) that torchvision ships."""
    features = nn.Sequential(
        *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
    )
    return Convolutional(features, _fully_connected((9216, 4096, 4096, 1000)))


def vgg8() -> nn.Module:
    """VGG-8 for CIFAR-10 of the in-memory-computing literature: six convolutions, two FC."""
    return Convolutional(
        _plan(VGG8_PLAN, bias=False), _fully_connected((8192, 1024, 10), bias=False)
    )


def vgg9() -> nn.Module:
    """VGG-9 for CIFAR-10 of the SNN literature: seven convolutions, two FC, no biases."""
    return Convolutional(
        _plan(VGG9_PLAN, bias=False), _fully_connected((4096, 1024, 10), bias=False)
    )


def vgg11() -> nn.Module:
    """VGG-11, configuration A of Simonyan and Zisserman, ImageNet 224x224."""
    return Convolutional(_plan(VGG11_PLAN), _fully_connected((25088, 4096, 4096, 1000)))


def vgg16() -> nn.Module:
    """VGG-16, configuration D of Simonyan and Zisserman, ImageNet 224x224."""
    return Convolutional(_plan(VGG16_PLAN), _fully_connected((25088, 4096, 4096, 1000)))


def vgg19() -> nn.Module:
    """VGG-19, configuration E of Simonyan and Zisserman, ImageNet 224x224."""
    return Convolutional(_plan(VGG19_PLAN), _fully_connected((25088, 4096, 4096, 1000)))


class DepthwiseSeparable(nn.Module):
    """3x3 depthwise and 1x1 pointwise convolution, each with batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            inputs, inputs, 3, stride=stride, padding=1, groups=inputs, bias=False
        )
        self.norm1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU()
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)"""
        x = self.relu1(self.norm1(self.depthwise(x)))
        out: Tensor = self.relu2(self.norm2(self.pointwise(x)))
        return out


#: (outputs, stride) of the 13 blocks, Howard 2017, Table 1
MOBILENET_BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)


def mobilenet_v1() -> nn.Module:
    """MobileNet v1 1.0, 224x224."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
    ]
    channels = 32
    for outputs, stride in MOBILENET_BLOCKS:
        layers.append(DepthwiseSeparable(channels, outputs, stride))
        channels = outputs
    layers.append(nn.AvgPool2d(7))
    return Convolutional(nn.Sequential(*layers), _fully_connected((1024, 1000)))
