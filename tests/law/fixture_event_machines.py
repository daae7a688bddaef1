"""Real spikes for the event-driven machines: the shipped network, converted, layer by layer."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import tospike as ts
from tospike.activity import ActivityProfile
from tospike.conversion.traces import spike_traces
from tospike.network import Network

DEMO = Path(__file__).parents[2] / "demo" / "fashion_mnist"


@cache
def fashion_spikes(
    timesteps: int = 8, samples: int = 1
) -> tuple[Network, ActivityProfile, dict[str, NDArray[Any]]]:
    """(network, activity, traces) of the shipped Fashion-MNIST CNN, converted.

    Its first layer is analog; the others receive spikes, (T, samples, \\*input_shape).
    """
    torch.set_num_threads(1)
    spec = importlib.util.spec_from_file_location("fashion_model", DEMO / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.trained_cnn()
    calibration = np.load(DEMO / "calibration.npz")["x"][:32]
    x = np.load(DEMO / "test.npz")["x"][:samples]
    converted = ts.convert(model, "snn", calibration_data=calibration, timesteps=timesteps)
    network = ts.load(model, torch.from_numpy(x[:1]))
    return network, converted.run(x).activity, spike_traces(converted, x)
