"""A kit for numbers of a stranger's machine: asks, certifies, measures, packs, and checks packs."""
