"""Synthetic images: people cut out of photos and placed into backgrounds.

Placement, shadows, relighting and blending are here.
"""
