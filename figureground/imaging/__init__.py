"""Arrays in, arrays out: geometry, masks, run lengths, class maps and drawing.

Nothing here reads a file or knows a table.
"""
