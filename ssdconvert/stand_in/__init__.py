"""Stand-ins: the source files of a recipe made from a seed, where the published ones are not to be had.

They have the container and the layout of the real files, and weights under which pictures have a
realistic number of detections. So the whole way from fetch to manifest can be taken without a
download. What they detect means nothing.
"""
