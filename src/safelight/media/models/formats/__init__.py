"""Converts binary glTF to other formats; only children import this."""
