"""Published accelerators as validated data, and what can be asked of them."""

from tospike.survey.energy import DEFINITIONS, InferenceEnergy, energy_per_inference
from tospike.survey.load import accelerators, entries, read_accelerators
from tospike.survey.record import Accelerator

__all__ = [
    "DEFINITIONS",
    "Accelerator",
    "InferenceEnergy",
    "accelerators",
    "energy_per_inference",
    "entries",
    "read_accelerators",
]
