"""The shop's pages in the admin."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from django_workflows import TransitionError
from django_workflows.models import Execution
from testproject.shop.approval import approve
from testproject.shop.models import Order, Product, Shipment


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    list_display = ("sku", "name", "price", "stock")
    search_fields = ("sku", "name")


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # as above
    list_display = ("number", "status", "product", "quantity", "amount", "email", "created_at")
    list_filter = ("status", "product")
    search_fields = ("number", "email")
    actions = ("approve_orders",)

    @admin.action(description="Approve selected orders")
    def approve_orders(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        for order in orders:
            try:
                approve(order, by=request.user.get_username())
            except (TransitionError, Execution.DoesNotExist) as error:
                self.message_user(request, f"{order}: {error}", messages.WARNING)
            else:
                self.message_user(request, f"{order} is approved.", messages.SUCCESS)


@admin.register(Shipment)
class ShipmentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # as above
    list_display = ("tracking_code", "order", "created_at")
    search_fields = ("tracking_code", "order__number")
