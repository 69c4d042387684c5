"""Hostile text in every field that takes text, and then on every page that shows it: no script
runs, nothing is asked, the browser refuses nothing, and the text is there as it was typed.

The strings are in `hostile.json`. Some are refused as names, which is as good.
"""

import csv
import io
import json
import pathlib
from urllib.parse import urlencode

from browser import COOKIE, Person, Window, check, chromium, raw, told, unless
from pages import settle, walk
from playwright.sync_api import Error

STRINGS = json.loads((pathlib.Path(__file__).parent / "hostile.json").read_text())

# A string that is longer than a request may be is no test of pages.
QUERY_BYTES_MAX = 2000

INTACT = """() => {
    const wrong = window.__pwned ? ["a script ran"] : [];
    const leads = ["href", "src", "action", "formaction", "xlink:href", "data", "srcdoc"];
    const never = "iframe,object,embed,base,style,video,audio,math,marquee,template,plaintext," +
        "meta[http-equiv],form[action^='j' i],a[href^='j' i],x";
    const from_here = (it) => new URL(it, location).origin === location.origin;
    for (const it of document.querySelectorAll("*")) {
        for (const { name, value } of it.attributes) {
            if (name.startsWith("on") || name === "style" || name === "autofocus" ||
                leads.includes(name) && !from_here(value)) {
                wrong.push(it.outerHTML.slice(0, 200));
            }
        }
    }
    wrong.push(...[...document.querySelectorAll(never)].map((it) => it.outerHTML.slice(0, 200)));
    const scripts = [...document.scripts].filter((it) => !it.src.includes("/assets/") || it.text);
    wrong.push(...scripts.map((it) => it.outerHTML.slice(0, 200)));
    return wrong;
}"""


class Looker:
    """Looks whether pages are what they were made to be."""

    def __init__(self, window):
        self.window = window
        self.wrong = []
        self.pages = 0

    def look(self):
        self.pages += 1
        wrong = self.window.page.evaluate(INTACT)
        self.wrong += [f"{self.window.page.url}: {it}" for it in wrong]

    def go(self, path):
        self.window.go(path)
        self.look()

    def end(self, name):
        seen = [*self.wrong, *self.window.seen]
        check(f"{name}: pages are intact", seen[:5])
        print(f"{name}: {self.pages} pages looked at", flush=True)
        self.wrong.clear()
        self.window.seen.clear()


def is_found_where_nothing_is_escaped(browser):
    """Without this, a search that finds nothing anywhere would find nothing in the console."""
    page = browser.new_page()
    found, careless = 0, ""
    html = "text/html; charset=utf-8"
    page.route("**/*", lambda route: route.fulfill(body=careless, content_type=html))
    for text in STRINGS[::3]:
        careless = f'<!doctype html><main><input value="{text}">{text}</main>'
        try:
            page.goto("https://careless.example/", wait_until="domcontentloaded")
            found += bool(page.evaluate(INTACT))
        except Error:
            # It led somewhere else.
            found += 1
    page.unroute_all(behavior="ignoreErrors")
    page.close()
    most = found > len(STRINGS[::3]) // 2
    check("a page that escapes nothing is found out", unless(most, f"only {found} times"))


def import_all(window):
    """An account for each string, which is its name; gives those that were taken, by login ID."""
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(["login", "display", "role"])
    logins = {f"h-{nth:03}": text for nth, text in enumerate(STRINGS)}
    writer.writerows([login, text, "store"] for login, text in logins.items())
    window.go("/accounts")
    window.page.fill("#csv", lines.getvalue())
    window.page.click("form[action='/accounts/import'] button")
    rows = window.page.locator("tbody tr").all()
    taken = {}
    for row in rows:
        login = row.locator("th").inner_text()
        if row.locator(".tag.good").count():
            taken[login] = logins[login]
    check("all strings were tried as names", unless(len(rows) == len(STRINGS), f"{len(rows)}"))
    refused = len(rows) - len(taken)
    # Those that hide or turn around the text beside them, and those that are too long.
    check("names that disguise are refused", unless(4 <= refused < 20, f"{refused} refused"))
    return taken


def as_login_and_role(looker):
    """Lines of CSV whose login ID or role is hostile: each is refused with what it said."""
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(["login", "display", "role"])
    short = [text for text in STRINGS if len(text) < 200]
    for nth, text in enumerate(short):
        writer.writerow([text, "x", "store"] if nth % 2 else [f"r-{nth}", "x", text])
    page = looker.window.page
    looker.window.go("/accounts")
    page.fill("#csv", lines.getvalue())
    page.click("form[action='/accounts/import'] button")
    looker.look()
    good = page.locator(".tag.good").count()
    bad = page.locator(".tag.bad").count()
    refused = good == 0 and bad > 50
    check("hostile login IDs and roles are refused", unless(refused, f"{good} taken"))


def suspend_all(it, window, tenant, logins):
    """Each account is suspended, for a reason that is another of the strings."""
    headers = {
        "Cookie": f"{COOKIE}={window.cookie()}",
        "Origin": it["console"],
        "Content-Type": "application/x-www-form-urlencoded",
    }
    csrf = window.csrf()
    reasons = {}
    for nth, login in enumerate(logins):
        reason = "a reason like any other" if nth == 0 else STRINGS[-nth]
        form = {"csrf": csrf, "tenant": tenant, "login": login, "reason": reason}
        status, _, _ = raw(it, "POST", "/accounts/suspend", headers, urlencode(form))
        if status == 303:
            reasons[login] = reason
    return reasons


def look_at_accounts(looker, taken, reasons):
    """The page of each, and whether it says what it was called and why it was suspended."""
    page = looker.window.page
    unlike, shows_reasons = [], False
    for nth, (login, text) in enumerate(taken.items()):
        looker.go(f"/accounts/one?{urlencode({'login': login})}")
        name = page.locator("#about h2").text_content()
        if name != text.strip():
            unlike.append(f"{name!r} for {text!r}")
        about = page.locator("#about").text_content()
        reason = reasons.get(login)
        if nth == 0:
            shows_reasons = reason in about
        elif shows_reasons and reason and reason.strip() not in about:
            unlike.append(f"{login} lacks the reason {reason!r}")
    check("names and reasons are shown as they were typed", unlike[:5])
    listed = []
    for number in range(9):
        looker.go(f"/accounts?q=h-&page={number}")
        listed += page.locator("tbody td:nth-of-type(1)").all_text_contents()
    missing = [text for text in taken.values() if text.strip() not in listed]
    check("the list shows names as they were typed", missing[:5])


def reflected(looker, tenant):
    """What a page says again of what it was asked."""
    for nth, text in enumerate(STRINGS):
        text = text[:QUERY_BYTES_MAX]
        if nth % 2:
            looker.go("/accounts?" + urlencode({"q": text, "tenant": text}))
        else:
            looker.go("/accounts/one?" + urlencode({"login": text, "tenant": tenant, "done": text}))


def reflected_at_sign_in(looker):
    """What the sign-in says again, by form and by address; it takes no guesses of an account."""
    page = looker.window.page
    for text in STRINGS[::5]:
        text = text[:QUERY_BYTES_MAX]
        looker.go("/sign-in?" + urlencode({"to": text, "changed": text}))
        page.fill("#tenant", text[:64])
        page.fill("#login", text[:64] or "x")
        page.fill("#password", text or "x")
        page.click("form.narrow button.main")
        looker.look()
        if not page.url.startswith(looker.window.console):
            looker.wrong.append(f"led to {page.url}")


def all_pages(window, tenant, who):
    """Whatever other pages there are that show names, reasons or the audit log."""
    looker = Looker(window)
    for path in walk(window, tenant):
        looker.go(path)
        settle(window.page)
        looker.look()
    looker.end(f"{who}, all pages")


def main():
    it = told()
    tenant = it["tenant"]
    people = {name: Person(account) for name, account in it["people"].items()}
    with chromium() as browser:
        is_found_where_nothing_is_escaped(browser)
        windows = {who: Window(browser, it["console"]) for who in ["operator", "administrator"]}
        for who, window in windows.items():
            window.expects_refusals = True
            window.sign_in(people[who])
        looker = Looker(windows["administrator"])
        taken = import_all(looker.window)
        looker.look()
        as_login_and_role(looker)
        reasons = suspend_all(it, looker.window, tenant, taken)
        look_at_accounts(looker, taken, reasons)
        reflected(looker, tenant)
        looker.end("administrator")
        outside = Looker(Window(browser, it["console"]))
        outside.window.expects_refusals = True
        reflected_at_sign_in(outside)
        outside.end("sign-in")
        for who, window in windows.items():
            all_pages(window, tenant, who)


if __name__ == "__main__":
    main()
