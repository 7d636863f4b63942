"""What is measured of trained models: losses, failures, curvature, spectra, alignment, retrieval, probes; intervals."""
