"""What the numbers of a table say."""
