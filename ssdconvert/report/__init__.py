"""What verification found, and the forms in which it is written down."""
