"""What the scripts of this folder share: Chromium, people who sign in with it, and checks.

Each script reads one JSON object from standard input: `console` (the console's address), `ca` (its
authority), `shots` (a folder for pictures), `people` (who signs in, by a name of the test's own:
tenant, login, password), and what it says of its own. It prints a line for each check, `ok NAME`
or `FAILED NAME: why`, which the test in `tests/tests/console.rs` reads.
"""

import http.client
import json
import os
import ssl
import sys
import time
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import pyotp
from playwright.sync_api import sync_playwright

COOKIE = "__Host-kakehashi"
LANGUAGE = "__Host-kakehashi-language"

WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}

# Generous, for loaded machines.
PATIENCE_MS = 30_000


def told():
    """The object on the first line of standard input; later lines are read by `wait_for_word`."""
    return json.loads(sys.stdin.readline())


def say(word):
    """Tells the test that something may happen now."""
    print(f"now {word}", flush=True)


def wait_for_word():
    """Waits until the test says that it has happened."""
    if not sys.stdin.readline():
        sys.exit("the test has gone")


def check(name, problems):
    """Prints how a check went: `problems` is empty, or says what is wrong."""
    if not isinstance(problems, str):
        problems = "; ".join(str(problem) for problem in problems)
    print(f"FAILED {name}: {problems}" if problems else f"ok {name}", flush=True)


def unless(held, why):
    """No problem if something held."""
    return "" if held else str(why)


class Person:
    """Somebody with an account, the authenticator of it included."""

    def __init__(self, account):
        self.tenant = account["tenant"]
        self.login = account["login"]
        self.password = account["password"]
        self.key = None
        self.recovery = []
        self.last_step = 0

    def code(self):
        """A code that was not given before: the console takes none twice. It takes those of one
        step before and after as well, so few sign-ins have to wait."""
        now = time.time()
        # One that is about to be too old is not given.
        earliest = int(now // 30) - (1 if now % 30 < 15 else 0)
        step = max(earliest, self.last_step + 1)
        while step > int(time.time() // 30) + 1:
            time.sleep(0.2)
        self.last_step = step
        return pyotp.TOTP(self.key).generate_otp(step)


@contextmanager
def chromium():
    """The browser that Debian packages, or the one that `KAKEHASHI_CHROMIUM` names."""
    path = os.environ.get("KAKEHASHI_CHROMIUM", "/usr/bin/chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


class Window:
    """A window with cookies of its own, watched: what should never happen is in `seen`."""

    def __init__(self, browser, console, *, lang="en", size=WIDE, scheme="light", **more):
        # The authority of a test's platform is nobody's but the test's: what the browser would
        # say of it is not asked here, and `raw` checks the certificate.
        self.context = browser.new_context(
            ignore_https_errors=True,
            locale={"en": "en-US", "ja": "ja-JP"}[lang],
            timezone_id="Asia/Tokyo",
            viewport=size,
            color_scheme=scheme,
            **more,
        )
        self.context.set_default_timeout(PATIENCE_MS)
        self.console = console
        self.seen = []
        self.sure = []
        # Answers that tell of a refusal are logged as errors of the network.
        self.expects_refusals = False
        self.context.on("request", self._request)
        self.page = self.watch(self.context.new_page())

    def watch(self, page):
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.seen.append(f"script failed: {error}"))
        page.on("dialog", self._dialog)
        return page

    def _request(self, request):
        if request.url.endswith("/csp-report"):
            self.seen.append(f"content refused: {request.post_data}")

    def _said(self, message):
        is_refusal = message.text.startswith("Failed to load resource")
        if message.type in ("error", "warning") and not (is_refusal and self.expects_refusals):
            self.seen.append(f"{self.page.url}: {message.text}")

    def _dialog(self, dialog):
        """A form that asks whether somebody is sure is told so; nothing else may ask."""
        if dialog.type == "confirm" and self.sure:
            self.sure.remove(dialog.message)
            dialog.accept()
        else:
            self.seen.append(f"dialog: {dialog.message}")
            dialog.dismiss()

    def will_be_sure(self, form):
        """The question of this form is answered with yes, once."""
        self.sure.append(self.page.locator(form).get_attribute("data-sure"))

    def go(self, path):
        return self.page.goto(self.console + path)

    def path(self):
        return urlsplit(self.page.url).path

    def query(self, name):
        return parse_qs(urlsplit(self.page.url).query).get(name, [""])[0]

    def speak(self, lang):
        """Chooses a language for the pages from now on."""
        self.context.add_cookies(
            [{"name": LANGUAGE, "value": lang, "url": self.console, "secure": True}]
        )

    def cookie(self):
        """The token that this window has."""
        found = [it for it in self.context.cookies(self.console) if it["name"] == COOKIE]
        return found[0]["value"] if found else ""

    def alert(self):
        found = self.page.locator("[role=alert]")
        return found.first.inner_text() if found.count() else ""

    def csrf(self):
        return self.page.locator("input[name=csrf]").first.get_attribute("value")

    def give_password(self, person, password=None):
        self.page.fill("#tenant", person.tenant)
        self.page.fill("#login", person.login)
        self.page.fill("#password", password or person.password)
        self.page.click("form.narrow button.main")

    def give_code(self, code):
        self.page.fill("#code", code)
        self.page.click("form.narrow button.main")

    def change_password(self, person, to):
        self.page.fill("#old", person.password)
        self.page.fill("#new", to)
        self.page.fill("#again", to)
        self.page.click("form.narrow button.main")
        person.password = to

    def sign_in(self, person, at=lambda name: None):
        """Signs in through all steps that are asked for; calls `at` on the page of each."""
        self.go("/now")
        at("sign-in")
        self.give_password(person)
        if self.path() == "/sign-in/password":
            at("password")
            self.change_password(person, f"five words for {person.login[::-1]} of tests")
            self.give_password(person)
        if self.path() == "/sign-in/enrol":
            at("enrol")
            person.key = self.page.inner_text("#key")
            self.give_code(person.code())
            at("recovery")
            person.recovery = self.page.locator(".codes code").all_inner_texts()
            self.page.click("a.main")
        elif self.path() == "/sign-in/code":
            at("code")
            self.give_code(person.code())
        if not self.page.locator("form[action='/sign-out']").count():
            raise AssertionError(f"{person.login} is not signed in: {self.alert()}")

    def sign_out(self):
        self.page.click("form[action='/sign-out'] button")

    def close(self):
        self.context.close()


def ways(page):
    """Where the navigation of this page leads."""
    links = page.locator("nav.ways a").all()
    return [link.get_attribute("href") for link in links]


def raw(told, method, path, headers=None, body=None):
    """A request of no browser: status, headers and text of the answer. The certificate counts."""
    trusting = ssl.create_default_context(cafile=told["ca"])
    where = urlsplit(told["console"])
    connection = http.client.HTTPSConnection(where.hostname, where.port, context=trusting)
    connection.request(method, path, body=body, headers=headers or {})
    answer = connection.getresponse()
    # A page that is kept fresh never ends.
    is_stream = answer.headers.get_content_type() == "text/event-stream"
    text = "" if is_stream else answer.read().decode()
    connection.close()
    return answer.status, answer.headers, text
