"""Finished runs against published numbers: reproduced, outside, or not comparable, and why."""
