"""Figures, tables and page of study B22."""
