"""Runs Safelight in this process or several: the server, its parts, their signals."""
