"""Exceptions that the command line reports by their message alone, without a traceback."""


class InputError(Exception):
    """Wrong input from the user. The command line prints the message alone and exits with code 2."""


class TrainingError(Exception):
    """A run that cannot go on, through no fault of its input. The command line prints the message and exits with code 1."""
