"""The occasions: when, in which order and how often the verbs run. Also the command line."""
