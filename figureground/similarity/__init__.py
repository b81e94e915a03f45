"""Near-duplicates: signatures of crops and which of them are alike.

Signatures are measured once and compared many times.
"""
