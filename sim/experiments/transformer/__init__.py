"""Small transformers with a linear bottleneck, on tasks of a chosen geometry."""
