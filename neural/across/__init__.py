"""One study across the four: robustness, sub-networks, imbalance and probes of the same models."""
