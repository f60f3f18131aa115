"""vipllava: what this package is for."""
