"""From a source's path to judged crops with mattes: one task a file."""
