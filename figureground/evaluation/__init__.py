"""How good a model's masks are: predictors, scores and comparison.

Ground truth is a release's labels.
"""
