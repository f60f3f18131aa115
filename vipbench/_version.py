"""The version of the package, for what stands below its face."""

__version__ = "0.1.0"
