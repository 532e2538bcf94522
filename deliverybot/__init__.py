"""Petition delivery: from a signature count to a delivered letter and a post."""

__version__ = "0.1.0"
