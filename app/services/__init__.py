"""The verbs of the product: one function is one transaction; hints and dispatches are the caller's, after the commit."""
