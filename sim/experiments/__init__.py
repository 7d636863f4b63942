"""What a sweep computes: linear models, the tasks of labelled data, convolutional networks, transformers."""
