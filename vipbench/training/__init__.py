"""Evaluations in the course of a training: a callback for it, and a watch over its checkpoints."""
