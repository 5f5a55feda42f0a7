"""HTML pages to look at and listen to; each is one file that needs no server and no network."""
