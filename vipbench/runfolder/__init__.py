"""runfolder: what this package is for."""
