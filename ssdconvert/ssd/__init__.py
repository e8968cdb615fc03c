"""The science of SSD in numpy: default boxes, box coding, IoU, NMS, matching, preprocessing.

Pure functions, no I/O, nothing of the framework that a model came from. Boxes are float arrays
whose last axis is 4; `corners` means (x_min, y_min, x_max, y_max), `centres` means
(x_centre, y_centre, width, height), both normalised to 0..1 of the network's input unless said.
"""
