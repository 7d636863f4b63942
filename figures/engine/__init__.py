"""How figures and pages are made: style, tables in Markdown, run folders as they are read, verdicts."""
