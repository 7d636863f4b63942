"""Linear probes of frozen states, and what is read off their scores over layers and checkpoints (study B22).

P probes, one a layer, checkpoint and seed, of N examples whose features are of width d, in C classes. Nothing here runs
a model.
"""
