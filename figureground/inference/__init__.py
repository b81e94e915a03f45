"""Networks as functions of arrays: backends, conversion, letterboxing and the decoding of YOLO's outputs.

Only this package knows OpenVINO, ONNX Runtime and ultralytics' models.
"""
