"""Read these first: what Headway does, test by test, on a real installation.

A package, unlike the other folders, so that its files may share one installation (fixtures of package scope).
"""
