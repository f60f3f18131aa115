"""fetching: what this package is for."""
