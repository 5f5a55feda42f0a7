"""The one exception that means: the input is wrong, here is what to do."""


class InputError(Exception):
    """Wrong input from the user. The command line prints the message alone and exits with code 2."""
