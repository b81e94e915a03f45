"""Training, evaluation, comparison, export and the live page: one task a file."""
