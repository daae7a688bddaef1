"""What really runs here, and fast: Numba kernels, each beside a slow reference."""
