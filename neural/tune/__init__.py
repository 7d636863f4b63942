"""Models tuned on tasks: classifiers of sentences, tags and relations of words, language modelling.

A classifier is a linear head on the state of the last token, as GPT-2's is built. S models of one shape are tuned
together: every array of theirs has a leading axis. Sentences N or a batch of B, tokens T, width d, classes C.
"""
