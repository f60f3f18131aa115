"""A run folder: what its files hold, how they are written and read (docs/run_folder.md)."""
