"""Screening of nuclei by their electrons (Ziegler, Biersack and Littmark 1985): parts of phi, and their rates."""

SHARES = (0.18175, 0.50986, 0.28022, 0.02817)
RATES = (3.19980, 0.94229, 0.40290, 0.20162)
