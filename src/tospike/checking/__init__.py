"""``tospike check``: a published claim recomputed, with the known mistakes looked for."""
