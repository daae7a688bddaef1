"""Eyeriss v1: the row-stationary chip of Chen 2017 (JSSC), and chips like it."""

from tospike.machines.eyeriss.simulate import Plan, plan, simulate

__all__ = ["Plan", "plan", "simulate"]
