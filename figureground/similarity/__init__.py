"""Near-duplicates: signatures of images, and the pairs and groups that are similar.

Signatures are computed once and compared many times.
"""
