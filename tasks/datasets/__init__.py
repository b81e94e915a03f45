"""Releases, composites and what is known of their samples: one task a file."""
