"""What is known of a person in a frame: tracks, faces, pose regions, instance masks, portraits.

Checks and removers build on it.
"""
