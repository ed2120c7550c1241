"""`python -m gossamer` is the `gossamer` command; torchrun starts it so."""

from gossamer.cli.main import main

main()
