"""What is there before anything starts: somebody to log in, products, customers."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.utils.crypto import get_random_string

from testproject.billing.models import Customer
from testproject.shop.models import Product

CUSTOMERS, FORMER = 2000, 100

FIRST = "Ada Alan Barbara Carlos Chen Dana Emil Fatima Grace Hedy Inês Jon Kofi Léna Mia Nils Olga Pavel Quinn Rosa"
LAST = "Almeida Baker Chandra Díaz Eriksen Fischer García Haddad Ito Jansen Keller López Moreau Novák Okafor Petrov"
FEES = ("9.00", "19.00", "49.00", "199.00")


def load() -> None:
    """Load what is missing; what is there stays as it is."""
    if not Product.objects.exists():
        call_command("loaddata", "products", verbosity=0)
    if not Customer.objects.exists():
        Customer.objects.bulk_create(customers(), batch_size=500)


def customers() -> list[Customer]:
    """The same people each time; some have left."""
    chance = random.Random(2000)
    return [
        Customer(
            name=f"{chance.choice(FIRST.split())} {chance.choice(LAST.split())}",
            email=f"customer-{number}@example.com",
            monthly_fee=Decimal(chance.choice(FEES)),
            is_active=number <= CUSTOMERS,
        )
        for number in range(1, CUSTOMERS + FORMER + 1)
    ]


def admin_password(folder: Path) -> str:
    """The password of the user "admin", who is created when missing; it stays the same from demo to demo."""
    file = folder / "admin-password"
    user, _ = get_user_model().objects.get_or_create(
        username="admin", defaults={"is_staff": True, "is_superuser": True, "email": "admin@example.com"}
    )
    password = file.read_text().strip() if file.exists() else get_random_string(10)
    if not user.check_password(password):
        user.set_password(password)
        user.save()
    file.touch(mode=0o600)
    file.write_text(password + "\n")
    return password
