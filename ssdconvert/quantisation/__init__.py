"""Weights and activations in 8 bits, by NNCF: the pictures it is calibrated on, what it may cost, what is left out."""
