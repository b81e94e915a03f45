"""Measurements of a person in a frame: tracks, faces, pose regions, instance masks, portraits, features for heads.

Checks and removers use them.
"""
