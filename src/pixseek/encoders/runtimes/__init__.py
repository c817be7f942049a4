"""What runs towers: ONNX Runtime and OpenVINO, in 32, 16 and 8 bits."""
