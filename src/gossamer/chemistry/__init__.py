"""What elements and structures say about a molecule: bonds, graphs, groups of permutations, symmetry, fragments."""
