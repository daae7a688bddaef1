"""Published accelerators as validated data."""
