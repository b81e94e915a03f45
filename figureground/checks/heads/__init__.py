"""The trained heads of the checks, one ``.npz`` file each, and the code that trains them.

No check imports this package: a check reads its file by `figureground.people.backbone_features.load_head`.
"""
