"""An app whose workflows tell an outside ledger what they do; real workers of the acceptance tests execute it."""
