"""One module a command: its words in, its lines out.  What it does stands in `app`."""
