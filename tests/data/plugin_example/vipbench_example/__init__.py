"""Adds a task, a runner and a shape to vipbench."""
