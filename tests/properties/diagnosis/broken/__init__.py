"""Programs that fail in every way that a machine without GPUs can bring about, and what they fail of."""
