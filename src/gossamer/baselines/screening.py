"""What baselines know of charges: Coulomb's constant, how electrons screen nuclei (Ziegler, Biersack and Littmark 1985:
parts of phi, and their rates), and how wide fixed charges are smeared."""

COULOMB = 14.399645  # eV Angstrom, e^2 / (4 pi epsilon_0)
SHARES = (0.18175, 0.50986, 0.28022, 0.02817)
RATES = (3.19980, 0.94229, 0.40290, 0.20162)
SMEARED = 1.0  # Angstrom
