"""fast: part of what was vipbench/runners/vipllava/runner.py."""

# Finished rows leave the batch once they are this share of it, since copying the cache costs too.
DROP_SHARE = 0.25
COVERED = ("llama", "mistral")
"""Language models of which tests hold that a padded batch answers like its rows; others are asked
one request at a time."""
