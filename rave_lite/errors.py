"""Exceptions that the command line reports by their message alone, without a traceback."""


class InputError(Exception):
    """Wrong input from the user. The command line prints the message, `where: what`, and exits with code 2.

    `what`: what is wrong and what to do; `where`: the file, folder, URL or setting that is wrong, if it is one.
    """

    def __init__(self, what: str, where: object = None):
        super().__init__(what, where)
        self.what, self.where = what, where

    def __str__(self) -> str:
        return self.what if self.where is None else f"{self.where}: {self.what}"


class TrainingError(Exception):
    """A run that cannot go on, through no fault of its input. The command line prints the message and exits with code 1."""
