"""Imports lists of any length: read, sent in chunks, followed, resumed, reported."""
