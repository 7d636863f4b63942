"""Figures of a sweep, each a table and a drawing."""
