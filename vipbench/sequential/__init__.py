"""Runs that stop as soon as a question is decided: a gate of one model, a race of several.

`asking` asks a run block by block, in random order; `gate` and `race` look at the answers between,
with intervals that hold at every look, and say what need not be asked any more.
"""
