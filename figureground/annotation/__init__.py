"""Label Studio's formats, the fusion of edits into mattes, and the statistics of annotations.

Predictions are made and annotations are read here; no server is called.
"""
