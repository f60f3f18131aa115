"""Adds a task and a runner to vipbench."""
