"""Models that find objects: boxes, classes and scores.

A detector takes a list of images (3, H, W), floats from 0 to 1, of any sizes. In training it also takes a list of targets, dicts with
`boxes` (n, 4) as x1, y1, x2, y2 and `labels` (n,), int64, and returns a dict of losses; else a list of dicts with `boxes`, `labels` and
`scores`, best first.
"""
