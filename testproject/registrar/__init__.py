"""A fake registrar: DNS records that spread slowly, certificates that wait for a record, and a limit on calls."""
