"""From a remover's output to a matte: video matting, confidence and mask cleanup.

A matte is the machine's mask; a label is the annotator's.
"""
