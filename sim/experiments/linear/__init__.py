"""Linear multitask models: trained, broken and measured, many at once."""
