"""Figures, tables and page of study F22."""
