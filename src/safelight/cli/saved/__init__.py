"""Saves what a command made: which file, in which format, written whole or not at all."""
