"""Reads binary glTF and writes it in the formats of other programs; only children import this."""
