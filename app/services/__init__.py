"""The verbs of the product: one function is one transaction; what follows the commit is the caller's."""
