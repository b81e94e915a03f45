"""The only package that opens sockets or starts programs that do.

Each client turns foreign errors into ours.
"""
