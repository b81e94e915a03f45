"""Label Studio's formats, and what an annotator's work says.

Predictions go out and labels come back here; no server is called.
"""
