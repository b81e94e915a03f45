"""Background replacement in the browser.

The page and its scripts lie in ``web/``.
"""
