"""Customers' domains: DNS records and certificates at a registrar, after somebody has had a look."""
