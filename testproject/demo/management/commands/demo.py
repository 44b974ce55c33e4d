"""python -m testproject.demo"""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import Error, connection
from django.utils import timezone

from django_workflows.models import Execution
from testproject.demo import data, report, story
from testproject.demo.cast import LEDGER, ZONE, Cast
from testproject.demo.children import Interrupts, KeepsDying, stop
from testproject.demo.deliveries import PATH, GitHub
from testproject.demo.inspectors import Inspectors
from testproject.demo.reviewers import Reviewers
from testproject.demo.settings import DEMO_FOLDER
from testproject.shop.models import Order

ACT_EVERY, LOOK_EVERY = 5.0, 0.25


class Command(BaseCommand):
    help = "Show everything at once: a payment provider, the workers, the web server, and executions of every example."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
        parser.add_argument("--until-done", action="store_true", help="stop when every execution has finished")
        parser.add_argument("--port", type=int, default=8000, help="of the web server, or one of the next")
        parser.add_argument("--provider-port", type=int, default=8090, help="of the payment provider, likewise")

    def handle(self, *args: Any, **options: Any) -> None:
        interrupts = Interrupts()
        password = self.prepare(DEMO_FOLDER)
        cast = Cast(DEMO_FOLDER, web_port=options["port"], provider_port=options["provider_port"])
        try:
            self.play(cast, password, time.monotonic() + options["seconds"], options["until_done"])
        except KeyboardInterrupt:
            self.say("Stopping: the steps in flight may finish. Ctrl-C again does not wait for them.")
        except KeepsDying as error:
            raise CommandError(str(error)) from None
        finally:
            interrupts.is_stopping, before = True, interrupts.count
            stop(cast.children, lambda: interrupts.count > before)
            self.say("Everything has stopped; the next demo goes on from here.")

    def prepare(self, folder: Path) -> str:
        """Bring the database up to date and fill it; returns the password of "admin"."""
        folder.mkdir(parents=True, exist_ok=True)
        try:
            call_command("migrate", verbosity=0)
            if not Order.objects.exists():  # a new database: what an older one's orders have cost is no longer true
                for file in (*folder.glob(f"{LEDGER}*"), *folder.glob(f"{ZONE}*")):
                    file.unlink()
            data.load()
            return data.admin_password(folder)
        except Error as error:
            raise CommandError(f"The database {connection.settings_dict['NAME']} cannot be used: {error}") from error

    def play(self, cast: Cast, password: str, end: float, until_done: bool) -> None:
        for child in cast.children:
            child.start()
        self.introduce(cast, password)
        self.tell(story.begin())
        crowd = (story.People(), GitHub(cast.web), Inspectors(cast.web), Reviewers())
        winding_up = False
        while time.monotonic() < end:
            self.watch(cast, min(end, time.monotonic() + ACT_EVERY))
            try:
                self.tell(() if winding_up else [line for person in crowd for line in person.act()])
                self.report(cast)
                if not until_done or story.unfinished(story.LASTING if winding_up else story.ENDING):
                    continue
                if winding_up:
                    break
                winding_up = True
                self.tell(story.wind_up())
            except Error as error:
                self.say(f"The database does not answer: {error}")
                connection.close()
        if not self.reported:  # it was over before the first look
            self.report(cast)
        if until_done:
            self.judge()

    def judge(self) -> None:
        if story.unfinished([*story.ENDING, *story.LASTING]):
            raise CommandError("The time is over and not every execution has finished.")
        if failed := Execution.objects.failed().count():
            raise CommandError(f"{failed} executions have failed: manage.py workflows list")

    def introduce(self, cast: Cast, password: str) -> None:
        self.say(f"Web server  http://{cast.web}/admin/   log in as admin with the password {password}")
        self.say(f"Provider    {cast.provider}/ledger   fails, hangs and loses answers on purpose")
        self.say(f"Registrar   {cast.registrar}/counts   allows two calls a second, and its records spread slowly")
        self.say(f"Webhook     http://{cast.web}{PATH}   wants GitHub's signature: docs/webhooks.md has the curl")
        self.say(f"Logs, mail  {cast.folder}")
        self.say(f"Workers     the children of process {cast.workers.pid}: kill -9 one, and see what happens")
        manage = f"{os.path.relpath(sys.executable)} manage.py"
        self.say(f"Try         {manage} workflowsdoctor; {manage} workflows list")

    def watch(self, cast: Cast, until: float) -> None:
        while time.monotonic() < until:
            for child in cast.children:
                if (news := child.revive()) is not None:
                    self.say(news)
            time.sleep(LOOK_EVERY)

    def report(self, cast: Cast) -> None:
        """Say how things stand, unless nothing has changed since it was last said."""
        lines = [*report.executions(), report.provider(cast.provider)]
        if lines != self.reported:
            self.say("\n          ".join(lines))
            self.reported = lines

    reported: list[str] = []

    def tell(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.say(line)

    def say(self, line: str) -> None:
        self.stdout.write(f"{timezone.localtime():%H:%M:%S}  {line}")
        self.stdout.flush()
