"""What really runs here, and fast, each beside a slow reference: delta layers, spiking networks."""

from tospike.kernels.fresh import drop_stale

drop_stale()
