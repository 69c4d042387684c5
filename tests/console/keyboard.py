"""From the sign-in to a suspended account with nothing but a keyboard: the focus is seen at every
step, a link skips what is around a page, and nobody loses their place when a part is sent anew.

Says when a second call is to begin, and when it is to end: `second call`, `end of second call`.
"""

from browser import PATIENCE_MS, PHONE, WIDE, Person, Window, check, chromium, say, told, unless

TABS_MAX = 80

FOCUSED = """(selector) => {
    const it = document.activeElement;
    const style = getComputedStyle(it);
    const place = it.getBoundingClientRect();
    return {
        is: it.matches(selector),
        what: it.outerHTML.slice(0, 120),
        seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 &&
            place.bottom > 0 && place.top < innerHeight && place.right > 0 && place.width > 0,
    };
}"""


class Keyboard:
    """Somebody who has no mouse."""

    def __init__(self, window):
        self.page = window.page
        self.unseen = []

    def press(self, key):
        self.page.keyboard.press(key)

    def type(self, text):
        self.page.keyboard.type(text)

    def focused(self, selector):
        return self.page.evaluate(FOCUSED, selector)

    def tab_to(self, selector):
        """Goes on until the focus is there; it has to be seen wherever it is on the way."""
        for _ in range(TABS_MAX):
            self.press("Tab")
            focused = self.focused(selector)
            if focused["what"].startswith(("<body", "<html")):
                continue
            if not focused["seen"]:
                self.unseen.append(f"{self.page.url}: {focused['what']}")
            if focused["is"]:
                return
        raise AssertionError(f"no Tab leads to {selector} on {self.page.url}")

    def enter(self, pattern):
        """Presses Enter and waits for the page that it leads to."""
        with self.page.expect_navigation(url=pattern, timeout=PATIENCE_MS):
            self.press("Enter")

    def skip(self):
        """Skips what is around the page."""
        self.tab_to(".skip")
        self.press("Enter")
        return self.focused("main#content")["is"]


def sign_in(keyboard, person):
    page = keyboard.page
    for field, text in [("#tenant", person.tenant), ("#login", person.login)]:
        keyboard.tab_to(field)
        keyboard.type(text)
    keyboard.tab_to("#password")
    keyboard.type(person.password)
    keyboard.enter("**/sign-in/*")
    if "/sign-in/password" in page.url:
        new = "nothing but keys all day"
        for field, text in [("#old", person.password), ("#new", new), ("#again", new)]:
            keyboard.tab_to(field)
            keyboard.type(text)
        keyboard.enter("**/sign-in?changed=1")
        person.password = new
        sign_in(keyboard, person)
        return
    person.key = page.inner_text("#key")
    keyboard.tab_to("#code")
    keyboard.type(person.code())
    keyboard.enter("**/sign-in/enrol*")
    keyboard.tab_to("a.main")
    keyboard.enter("**/now")
    check("signs in", unless(page.locator(".ways").count(), page.url))


def keeps_its_place(keyboard):
    """The focus stays on what it was on when calls come and go."""
    page = keyboard.page
    rows = page.locator("#calls tbody tr")
    rows.nth(0).locator(".tag.active").wait_for(timeout=PATIENCE_MS)
    # Rows that are wider than a phone are moved with the keyboard too.
    page.set_viewport_size(PHONE)
    keyboard.tab_to("#calls .scroll")
    left = "() => document.querySelector('#calls .scroll').scrollLeft"
    keyboard.press("ArrowRight")
    page.wait_for_function(f"() => ({left})() > 20", timeout=PATIENCE_MS)
    say("second call")
    rows.nth(1).wait_for(timeout=PATIENCE_MS)
    on_rows = keyboard.focused("#calls .scroll")
    moved = page.evaluate(left)
    page.set_viewport_size(WIDE)
    keyboard.tab_to("#calls button")
    mine = page.evaluate("() => document.activeElement.id")
    say("end of second call")
    rows.nth(1).wait_for(state="detached", timeout=PATIENCE_MS)
    on_button = keyboard.focused(f"#{mine}")
    check(
        "keeps its place when a part is sent anew",
        unless(on_rows["is"] and moved > 20, f"then {moved} px at {on_rows['what']}")
        or unless(on_button["is"] and on_button["seen"], f"then at {on_button['what']}"),
    )


def suspend(keyboard, window, caller):
    page = keyboard.page
    window.go("/now")
    check("skips to the content", unless(keyboard.skip(), page.url))
    window.go("/now")
    keyboard.tab_to("nav.ways a[href='/accounts']")
    keyboard.enter("**/accounts")
    keyboard.skip()
    keyboard.tab_to("#q")
    keyboard.type(caller)
    keyboard.enter("**/accounts?*")
    keyboard.skip()
    keyboard.tab_to(f"tbody a[href*='{caller}']")
    keyboard.enter("**/accounts/one*")
    keyboard.skip()
    keyboard.tab_to("#reason")
    keyboard.type("Somebody else has its password")
    window.will_be_sure("form:has(#suspend)")
    keyboard.tab_to("#suspend")
    keyboard.enter("**/accounts/one*done=suspended*")
    check("suspends an account", unless(page.locator("#standing .tag.bad").count(), page.url))


def main():
    it = told()
    administrator = Person(it["people"]["administrator"])
    with chromium() as browser:
        window = Window(browser, it["console"])
        keyboard = Keyboard(window)
        window.go("/now")
        sign_in(keyboard, administrator)
        keeps_its_place(keyboard)
        suspend(keyboard, window, it["caller"])
        check("the focus is seen at every step", keyboard.unseen[:5])
        check("nothing was refused by the browser", window.seen)


if __name__ == "__main__":
    main()
