"""Profiles of the command line: servers with a key each, kept in a file for this user only."""
