"""Multitask linear representations and their structural failures.

Import the modules themselves (`from theory import spectra`); this package loads none of them.

Notation: d input dimension, T tasks, k representation dimension; C (d, T) task matrix with one
column per task, W (k, d) shared representation, heads (k, T), S (d, d) input covariance, sigma_i
singular values of C in decreasing order, rho_k(C) = (1/T) sum_{i<=k} sigma_i^2 the slope.
"""
