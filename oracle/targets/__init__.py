"""Well-known implementations as targets: PyTorch and JAX, with their own gradients."""
