"""What the command lines of all packages share: how they end when told to, how they show progress, what they run."""
