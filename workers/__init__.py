"""Headway's data plane: claims stages, runs them under supervision, reports how they ended."""
