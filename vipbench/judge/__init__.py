"""The judge of free answers, as of ViP-Bench: its prompt, settings, grades, ledger and report."""
