"""Settings of the whole suite."""

import os

# Set before torch is imported anywhere: the tests' tensors are small, and threads that wait for
# each other cost two to three times the work itself.
os.environ.setdefault("OMP_NUM_THREADS", "1")
