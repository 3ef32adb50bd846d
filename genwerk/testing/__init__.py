"""What every family promises, to be asked of one: for Genwerk's own tests, and for families in plug-ins."""
