"""To Label Studio and back: one task a file."""
