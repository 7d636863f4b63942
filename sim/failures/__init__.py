"""The theory's perturbations on arrays that JAX traces, on pytrees of named parameters, and what small ones cost."""
