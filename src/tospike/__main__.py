"""``python -m tospike``."""

from tospike.cli import main

main()
