"""Array operations on any device, with fused kernels on a card."""
