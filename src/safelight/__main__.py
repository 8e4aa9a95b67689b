"""Lets `python -m safelight` be the command; children import this file and must not run it."""

from safelight.cli import main

if __name__ == "__main__":
    main()
