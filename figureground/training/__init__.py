"""Training a segmentation network on a release: the loop, checkpoints, the sample cache, export and quantisation.

The networks themselves are plug-ins in `figureground.networks`.
"""
