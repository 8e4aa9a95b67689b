"""Event streams of jobs and batches: their feeds and their wire format."""
