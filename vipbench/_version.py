"""_version: part of what was vipbench/__init__.py."""

__version__ = "0.1.0"
