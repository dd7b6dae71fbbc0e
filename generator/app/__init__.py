"""One module a command: values in, values out.  Nothing here prints."""
