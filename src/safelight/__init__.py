"""Safelight: self-hosted asynchronous media jobs."""
