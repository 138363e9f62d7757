"""The verbs of the command line: one file each, with its arguments and one function.

Heavy imports happen inside the function, so that `--help` is quick.
"""
