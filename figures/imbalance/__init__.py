"""Figures, tables and page of study S24."""
