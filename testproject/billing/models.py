"""Who pays every month, and what was invoiced."""

from __future__ import annotations

from django.db import models


class Customer(models.Model):
    name = models.CharField(max_length=100)
    email = models.EmailField(unique=True)
    monthly_fee = models.DecimalField(max_digits=8, decimal_places=2)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Invoice(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="invoices")
    period = models.CharField(max_length=7, help_text="The month that is paid for: 2026-01.")
    amount = models.DecimalField(max_digits=8, decimal_places=2)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-period", "customer")
        constraints = (models.UniqueConstraint(fields=("customer", "period"), name="one_invoice_per_month"),)

    def __str__(self) -> str:
        return f"{self.customer} {self.period}"
