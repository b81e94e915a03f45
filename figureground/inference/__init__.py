"""Networks as functions of arrays: backends, conversion and devices.

Nobody else knows OpenVINO or ONNX Runtime.
"""
