"""The treaty between the control plane and the workers: plain Structs that import nothing else of ours."""
