"""The addresses: each view takes what came over HTTP, asks an act, and answers."""
