"""Measurements of a running Safelight; `make bench` prints them as tables."""
