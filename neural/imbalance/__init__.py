"""Study S24: what does language imbalance do to models of cloned languages? (Schäfer et al. 2024)"""
