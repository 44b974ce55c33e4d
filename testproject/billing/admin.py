"""The pages of billing in the admin."""

from __future__ import annotations

from django.contrib import admin

from testproject.billing.models import Customer, Invoice


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    list_display = ("name", "email", "monthly_fee", "is_active")
    list_filter = ("is_active",)
    search_fields = ("name", "email")


@admin.register(Invoice)
class InvoiceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # as above
    list_display = ("customer", "period", "amount", "created_at")
    list_filter = ("period",)
    search_fields = ("customer__name", "customer__email")
    list_select_related = ("customer",)
    raw_id_fields = ("customer",)
