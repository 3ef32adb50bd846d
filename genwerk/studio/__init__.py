"""The local web page: a second face of the same commands, and the processes that it computes in."""
