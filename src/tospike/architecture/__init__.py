"""WHERE a network runs: accelerators as records, one YAML file each."""

from tospike.architecture.load import architectures, load_architecture
from tospike.architecture.record import Architecture, MemoryLevel

__all__ = ["Architecture", "MemoryLevel", "architectures", "load_architecture"]
