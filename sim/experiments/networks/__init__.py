"""Convolutional networks that learn binary tasks from images."""
