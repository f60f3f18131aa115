"""Fetching benchmark data: sources, transfers, archives, and the record of what was fetched."""
