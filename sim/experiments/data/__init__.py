"""Labelled inputs, and the linear tasks that Daras et al. 2022 make of them."""
