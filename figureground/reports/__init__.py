"""HTML pages, charts and the demo's poster.

Pages are one file each and load nothing from elsewhere.
"""
