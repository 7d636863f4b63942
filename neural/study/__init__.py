"""What all studies are made of: command line, forecast, models in their folder, tables, and the study read back."""
