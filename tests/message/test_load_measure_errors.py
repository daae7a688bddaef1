"""Full texts of the errors of ``load`` and ``measure`` for torch modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tospike as ts
from tospike.errors import (
    DataError,
    ModelError,
    OptionError,
    StatisticError,
    UnsupportedOperatorError,
)

# small tensors: more threads only wait for each other
torch.set_num_threads(1)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x)


class Net(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.body, self.tail = Block(), nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.body(x))


class Route(nn.Module):
    """Takes another path where the input is negative."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x) if x.sum() > 0 else self.b(x)


def broken() -> nn.Module:
    net = Net()
    with torch.no_grad():
        net.body.fc.weight[0, 0] = float("nan")
        net.tail.bias[:] = float("inf")
    return net


def cnn() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))


@pytest.fixture(scope="module")
def secret() -> Iterator[type[nn.Module]]:
    """A module with an operator that nobody but its author knows."""
    library = torch.library.Library("tospike_test", "FRAGMENT")
    library.define("secret(Tensor x, Tensor w) -> Tensor")
    library.impl("secret", lambda x, w: x @ w, "CPU")

    class Secret(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.randn(4, 4))

        def forward(self, x: Tensor) -> Tensor:
            for _ in range(2):
                x = torch.ops.tospike_test.secret(x, self.w)
            return torch.cdist(x, self.w)

    yield Secret
    library._destroy()


def text(error: type[Exception], call: Callable[[], Any]) -> str:
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    return str(caught.value)


def test_unknown_operators_are_listed_at_once(secret: type[nn.Module]) -> None:
    assert text(UnsupportedOperatorError, lambda: ts.load(secret(), torch.zeros(1, 4))) == (
        "cannot count the synapses of Secret\n"
        "  received: 2 unknown operators that take weights\n"
        "  allowed: operators of PyTorch, and operators without weights\n"
        "  fix: write the operator with PyTorch functions, or export the model to ONNX\n"
        "  reasons:\n"
        "    - aten::_cdist_forward.default: 1 times\n"
        "    - tospike_test::secret.default: 2 times"
    )


LOAD = {
    "raises": (
        lambda: ts.load(Net(5), torch.zeros(1, 4)),
        "cannot run the model Net\n"
        "  received: RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x3 and 5x2)\n"
        "  where: layer 'tail' (Linear), model input (1, 4) float32\n"
        "  allowed: a model that runs on the input given\n"
        "  fix: check that model(input) runs in plain PyTorch, with this shape and dtype",
    ),
    "not finite": (
        lambda: ts.load(broken(), torch.zeros(1, 4)),
        "cannot use the parameters of Net\n"
        "  received: 2 parameters that cannot be used\n"
        "  allowed: finite numbers\n"
        "  fix: load a checkpoint that is whole, or train without overflow\n"
        "  reasons:\n"
        "    - body.fc.weight: 1 of 12 values are NaN or infinite\n"
        "    - tail.bias: 2 of 2 values are NaN or infinite",
    ),
    "no example": (
        lambda: ts.load(Net()),
        "cannot trace the model Net\n"
        "  received: no example input\n"
        "  allowed: a torch tensor, a tuple or list of tensors, or a mapping of tensors\n"
        "  fix: give an input the model accepts: load(model, torch.zeros(1, 3, 224, 224))",
    ),
    "empty example": (
        lambda: ts.load(Net(), torch.zeros(0, 4)),
        "cannot trace the model\n"
        "  received: an example input of shapes [(0, 4)]\n"
        "  allowed: tensors with at least one sample along dimension 0\n"
        "  fix: give batch_dim=None for an example that is one sample without batch dimension",
    ),
    "class": (
        lambda: ts.load(Net, torch.zeros(1, 4)),
        "cannot load the network\n"
        "  received: an object of type builtins.type\n"
        "  allowed: a torch.nn.Module, a path that ends in .onnx, or the name of a zoo network\n"
        "  fix: give the module itself (not its class, its state_dict or its file)",
    ),
    "path": (
        lambda: ts.load(Path("net.pt")),
        "cannot load the network 'net.pt'\n"
        "  received: a path that ends in '.pt'\n"
        "  allowed: a path that ends in .onnx or .nir, or the name of a zoo network\n"
        "  fix: export the model to ONNX, or give the torch module itself",
    ),
}


@pytest.mark.parametrize("case", LOAD)
def test_load(case: str) -> None:
    call, expected = LOAD[case]
    assert text(ModelError, call) == expected


def image(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


def poisoned() -> Tensor:
    x = image(3, 3, 8, 8)
    x[2, 1, 4, 4] = float("nan")
    return x


MEASURE: dict[str, tuple[type[Exception], Callable[[], Any], str]] = {
    "channels": (
        DataError,
        lambda: ts.measure(cnn(), image(2, 1, 8, 8)),
        "cannot run Sequential on the data\n"
        "  received: (2, 1, 8, 8) float32\n"
        "  where: layer '0' (Conv2d), model input (2, 1, 8, 8) float32\n"
        "  allowed: float samples of shape (3, height, width)\n"
        "  fix: bring the data to the shape and type that the first layer takes\n"
        "  reasons:\n"
        "    - RuntimeError: Given groups=1, weight of size [4, 3, 3, 3], expected input"
        "[2, 1, 8, 8] to have 3 channels, but got 1 channels instead",
    ),
    "size": (
        DataError,
        lambda: ts.measure(cnn(), image(2, 3, 9, 9), example_input=image(2, 3, 8, 8)),
        "cannot run Sequential on the data\n"
        "  received: (2, 3, 9, 9) float32\n"
        "  where: layer '3' (Linear), model input (2, 3, 9, 9) float32\n"
        "  allowed: inputs like the example input, (2, 3, 8, 8) float32\n"
        "  fix: bring the data to the shape and type of the example input\n"
        "  reasons:\n"
        "    - RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x196 and 144x2)",
    ),
    "type": (
        DataError,
        lambda: ts.measure(cnn(), image(2, 3, 8, 8, dtype=torch.int64)),
        "cannot run Sequential on the data\n"
        "  received: (2, 3, 8, 8) int64\n"
        "  where: layer '0' (Conv2d), model input (2, 3, 8, 8) int64\n"
        "  allowed: float samples of shape (3, height, width)\n"
        "  fix: bring the data to the shape and type that the first layer takes\n"
        "  reasons:\n"
        "    - RuntimeError: Input type (long int) and bias type (float) should be the same",
    ),
    "no batches": (
        DataError,
        lambda: ts.measure(cnn(), []),
        "cannot use the data\n"
        "  received: no batches in a list\n"
        "  allowed: at least one sample\n"
        "  fix: check the data: they are empty",
    ),
    "no samples": (
        DataError,
        lambda: ts.measure(cnn(), np.zeros((0, 3, 8, 8))),
        "cannot use the data\n"
        "  received: x of shape (0, 3, 8, 8)\n"
        "  allowed: at least one sample along the first axis, and no empty axis\n"
        "  fix: check how the data were selected",
    ),
    "lengths": (
        DataError,
        lambda: ts.measure(cnn(), {"a": np.zeros((2, 3)), "b": np.zeros((3, 3))}),
        "cannot use the data\n"
        "  received: samples by input: {'a': 2, 'b': 3}\n"
        "  allowed: the same number of samples, at least one, for every input\n"
        "  fix: put samples along the first axis of every array",
    ),
    "nan": (
        StatisticError,
        lambda: ts.measure(cnn(), poisoned(), batch_size=2),
        "cannot measure the activity\n"
        "  received: NaN or infinity: nan\n"
        "  where: input of layer '0', sample 2\n"
        "  allowed: finite values\n"
        "  fix: check the data and the weights for NaN and overflow",
    ),
    "options": (
        OptionError,
        lambda: ts.measure(cnn(), image(1, 3, 8, 8), batch_size=0, thresholds=(-1.0,)),
        "cannot measure the activity\n"
        "  reasons:\n"
        "    - batch_size is 0; a whole number of at least 1 is needed\n"
        "    - threshold -1.0 is not a number >= 0",
    ),
    "zoo name": (
        ModelError,
        lambda: ts.measure("vgg16", image(1, 3, 8, 8)),
        "cannot measure the activity\n"
        "  received: the model 'vgg16'\n"
        "  allowed: a torch.nn.Module or a path that ends in .onnx or .nir\n"
        "  fix: networks of the zoo have no weights: give the trained module or file itself",
    ),
    "another path": (
        StatisticError,
        lambda: ts.measure(Route(), torch.tensor([[1.0] * 4, [-1.0] * 4]), batch_size=1),
        "cannot recognise the operation 'linear'\n"
        "  received: an operation that did not run on the example input\n"
        "  where: module 'b', execution 1 in one call\n"
        "  allowed: the operations of the traced network\n"
        "  fix: give example_input an input that reaches all layers",
    ),
}


@pytest.mark.parametrize("case", MEASURE)
def test_measure(case: str) -> None:
    error, call, expected = MEASURE[case]
    assert text(error, call) == expected
