"""What is added behind the heads of an ONNX graph: decoding, suppression, the output's form."""
