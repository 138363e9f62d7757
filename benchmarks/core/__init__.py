"""What everything else may use: errors, paths, files, redaction, the machine."""
