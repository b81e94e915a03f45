"""From files to frames: decoding, shots, photos, timestamps and colour.

What a path in the catalog may look like is read here too.
"""
