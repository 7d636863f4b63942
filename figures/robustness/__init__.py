"""Figures, tables and page of study D22."""
