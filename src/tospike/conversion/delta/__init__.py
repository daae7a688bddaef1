"""Delta layers as torch modules: train them, convert to them, compile them."""
