"""Study B22: when multilingual models come to know what, in which layer, and what other languages gain by it."""
