"""The runner of VipLlava checkpoints: loading, the fast path, and the reference that it equals."""
