"""Speed, measured here and now: ratios against the best peer on the same work in one run."""
