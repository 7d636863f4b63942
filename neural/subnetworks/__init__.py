"""Study F22: do languages share sub-networks of one model? (Foroutan et al. 2022) `python -m neural.subnetworks`."""
