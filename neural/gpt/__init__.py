"""The GPT: what it is, its layers and losses, its weights on disk and in the formats of others, text written by it."""
