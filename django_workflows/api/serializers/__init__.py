"""What goes out: the documents that the API answers with."""
