"""Looking after a storage: health, status and disk space."""
