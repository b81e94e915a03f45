"""Names ↔ files: where bytes are kept, how they are hashed, written, locked and leased, and the records of runs.

All files of a storage are written here, so that an incomplete file is never visible.
"""
