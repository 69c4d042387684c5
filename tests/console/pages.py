"""Every page that the navigation of an operator and of a tenant's administrator leads to: in both
languages, on a phone and on a wide screen, light and dark, with axe-core on each.

A new page is found by itself. Pictures of all go to the folder `shots`; with `pictures` the few
that documents show go there.
"""

import base64
import hashlib
import pathlib
import re
from urllib.parse import parse_qsl, urlsplit

import axe_playwright_python
from browser import PHONE, WIDE, Person, Window, check, chromium, told, unless, ways

# axe-core 4.12.1, as it is in the package that tests/requirements.txt names.
AXE = pathlib.Path(axe_playwright_python.__file__).parent / "axe.min.js"
AXE_SHA_256 = "84494fec757e4710dc751c8d7a636e457f4532f08f85c86dc9070133fbff53bc"

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
LANGUAGES = ["en", "ja"]
SCHEMES = ["light", "dark"]

# What all of the walk may lead to: a navigation that leads in circles ends.
PAGES_MAX = 60

PICTURE_BYTES_MAX = 150_000
PICTURE_HEIGHT_MAX = 1500


def audit(page):
    """What axe-core finds wrong with a page as it is shown."""
    if not page.evaluate("() => Boolean(window.axe)"):
        page.evaluate(AXE.read_text())
    found = page.evaluate(
        """async (tags) => (await axe.run(document, {
            runOnly: { type: "tag", values: tags },
            resultTypes: ["violations"],
        })).violations.map((it) => [it.id, it.nodes[0].html, it.nodes[0].failureSummary])""",
        TAGS,
    )
    return [f"{page.url}: {' '.join(it)}" for it in found]


def audit_finds_what_is_wrong(page):
    """Without this, an audit that looks at nothing would find nothing."""
    before = audit(page)
    page.evaluate("() => document.querySelector('main').append(new Image())")
    after = audit(page)
    check("axe finds a picture without a text", unless(not before and after, f"{before}, {after}"))
    page.reload()


def kind(path):
    """The page that a path leads to, whichever of many things it is about."""
    where = urlsplit(path)
    return where.path + "?" + "&".join(sorted(name for name, _ in parse_qsl(where.query)))


def inside(page):
    """Where links within a page lead to: pages, not files."""
    links = page.locator("main a[href^='/']").all()
    paths = [link.get_attribute("href") for link in links]
    return [path for path in paths if "/export" not in path]


def walk(window, tenant):
    """One page of each kind that one comes to, from the navigation on."""
    window.go("/now")
    open_ways = [*ways(window.page), "/me"]
    found = {}
    while open_ways and len(found) < PAGES_MAX:
        path = open_ways.pop(0)
        if kind(path) in found:
            continue
        found[kind(path)] = path
        answer = window.go(path)
        if answer.status != 200:
            raise AssertionError(f"{path}: {answer.status}")
        # Operators look at one tenant or at none.
        if window.page.locator("main select[name=tenant]").count() and "tenant=" not in path:
            open_ways.append(f"{path}?tenant={tenant}")
        open_ways.extend(inside(window.page))
    return list(found.values())


def settle(page):
    """Waits until what keeps the page fresh has begun, where there is any."""
    page.wait_for_load_state("load")
    if page.locator("#live").count():
        page.wait_for_function(
            "() => [...document.querySelectorAll('time[data-utc]')].every((it) => it.dateTime)"
        )


def look(window, path, lang, shots, who):
    """One page in one language: every size and scheme; gives what is wrong by kind of check."""
    wrong = {"language": [], "reflow": [], "axe": []}
    page = window.page
    window.go(path)
    settle(page)
    said = page.evaluate("() => document.documentElement.lang")
    if said != lang or not page.title():
        wrong["language"].append(f"{path}: {said!r}")
    text = page.inner_text("main")
    is_japanese = bool(re.search("[\u3040-\u30ff\u4e00-\u9fff]", text))
    if is_japanese != (lang == "ja"):
        wrong["language"].append(f"{path}: the text is not {lang}")
    for size in [WIDE, PHONE]:
        page.set_viewport_size(size)
        # WCAG 1.4.10: only tables and maps scroll sideways, within themselves.
        over = page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")
        if over > 0:
            wrong["reflow"].append(f"{path}: {over} px too wide at {size['width']}")
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            # A scheme changes colours, and those are the same at every size.
            if size == WIDE or scheme == "light":
                wrong["axe"] += audit(page)
            name = re.sub("[^a-z0-9]+", "-", f"{who}{path}").strip("-")
            name = f"{name}-{lang}-{size['width']}-{scheme}.png"
            page.screenshot(path=str(shots / name), full_page=size == PHONE)
    return wrong


def look_at_all(it, browser, who, person, shots):
    """All pages of one role, those of the sign-in first."""
    window = Window(browser, it["console"], bypass_csp=True)
    at_sign_in = []

    def audit_step(_name):
        for scheme in SCHEMES:
            window.page.emulate_media(color_scheme=scheme)
            at_sign_in.extend(audit(window.page))

    window.sign_in(person, audit_step)
    check(f"{who}: axe finds nothing in the sign-in", at_sign_in)
    audit_finds_what_is_wrong(window.page)
    paths = walk(window, it["tenant"])
    print(f"pages of {who}: {' '.join(paths)}", flush=True)
    wrong = {"language": [], "reflow": [], "axe": []}
    for lang in LANGUAGES:
        window.speak(lang)
        for path in paths:
            for key, problems in look(window, path, lang, shots, who).items():
                wrong[key] += problems
    check(f"{who}: every page is in its language", wrong["language"])
    check(f"{who}: every page fits a phone and a wide screen", wrong["reflow"])
    check(f"{who}: axe finds nothing in any page", wrong["axe"])
    state = window.context.storage_state()
    window.close()
    return paths, state


def look_under_policy(it, browser, who, paths, state):
    """The same pages with the policy for content in force, which axe could not run under."""
    window = Window(browser, it["console"], storage_state=state)
    for lang in LANGUAGES:
        window.speak(lang)
        for path in paths:
            window.go(path)
            settle(window.page)
    check(f"{who}: no page breaks the policy or logs an error", window.seen)
    return window


def picture(window, lang, scheme, path, name, folder):
    """A picture for documents, as small as such pictures are kept."""
    page = window.page
    window.speak(lang)
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 1200, "height": 860})
    window.go(path)
    settle(page)
    height = page.evaluate("() => document.body.scrollHeight")
    page.set_viewport_size({"width": 1200, "height": min(height, PICTURE_HEIGHT_MAX)})
    devtools = window.context.new_cdp_session(page)
    shot = devtools.send("Page.captureScreenshot", {"format": "webp", "quality": 80})
    picture = base64.b64decode(shot["data"])
    check(f"picture {name}", unless(len(picture) <= PICTURE_BYTES_MAX, f"{len(picture)} bytes"))
    (folder / f"{name}.webp").write_bytes(picture)


def main():
    it = told()
    shots = pathlib.Path(it["shots"])
    shots.mkdir(parents=True, exist_ok=True)
    sha = hashlib.sha256(AXE.read_bytes()).hexdigest()
    check("axe-core is the one that was looked at", unless(sha == AXE_SHA_256, sha))
    people = {name: Person(account) for name, account in it["people"].items()}
    with chromium() as browser:
        for who in ["operator", "administrator"]:
            paths, state = look_at_all(it, browser, who, people[who], shots)
            window = look_under_policy(it, browser, who, paths, state)
            if it.get("pictures") and who == "operator":
                folder = pathlib.Path(it["pictures"])
                folder.mkdir(exist_ok=True)
                about = f"/accounts/one?tenant={it['tenant']}&login={it['caller']}"
                picture(window, "en", "light", "/now", "console-now-en", folder)
                picture(window, "ja", "light", "/now", "console-now-ja", folder)
                picture(window, "ja", "light", about, "console-account-ja", folder)
                picture(window, "en", "dark", "/now", "console-now-dark-en", folder)
            window.close()


if __name__ == "__main__":
    main()
