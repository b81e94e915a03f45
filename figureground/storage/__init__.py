"""Names and files: where bytes are kept, how they are hashed, locked, leased and counted.

Everything that is written goes through here, so that no half file is ever visible.
"""
