"""The command line: one file per verb, each from arguments to one library call to text."""
