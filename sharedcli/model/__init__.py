"""The language model: loading a base, compressing, injecting, decoding. Tensors in, tensors out."""
