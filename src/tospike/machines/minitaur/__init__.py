"""A folded core with caches for weights and states, and DRAM behind them."""

from tospike.machines.minitaur.simulate import CacheRun, replay, simulate

__all__ = ["CacheRun", "replay", "simulate"]
