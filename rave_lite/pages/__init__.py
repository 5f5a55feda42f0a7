"""Pages to look at and listen to: each one file that needs no server and no network."""
