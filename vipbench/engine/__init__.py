"""Answer the batches of a plan: in this process, in worker processes, or on a Ray cluster."""
