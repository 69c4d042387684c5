"""Signing in to the console, from the first time to the end of it, as operator and as the
administrator of a tenant; and that a store's account sees nothing of it."""

from browser import COOKIE, Person, Window, check, chromium, raw, told, unless

AT_ONCE_CODE = "000000"


class Steps:
    """The cookies that a window is given, and that each replaces the one before."""

    def __init__(self, window):
        self.set = []
        window.page.on("response", self._response)

    def _response(self, response):
        for header in response.headers_array():
            if header["name"].lower() == "set-cookie" and header["value"].startswith(COOKIE + "="):
                self.set.append(header["value"])

    def tokens(self):
        values = [it.split(";")[0].removeprefix(COOKIE + "=") for it in self.set]
        return [value for value in values if value]

    def wrong(self):
        """Those that lack an attribute, or have one more."""
        wished = {"Path=/", "Secure", "HttpOnly", "SameSite=Strict"}
        attributes = [{part.strip() for part in it.split(";")[1:]} for it in self.set]
        return [it for it in attributes if it - {"Max-Age=0"} != wished]


def is_signed_in(told, token):
    status, _, _ = raw(told, "GET", "/now", {"Cookie": f"{COOKIE}={token}"})
    return status == 200


def first_time(told, window, person, who):
    """The one-time password, the authenticator, and what is refused on the way."""
    steps = Steps(window)
    window.go("/now")
    check(f"{who}: signed out leads to the sign-in", unless(window.query("to") == "/now", "no"))
    window.give_password(person, "something else entirely")
    check(f"{who}: wrong password is refused", unless(window.alert(), "it was taken"))
    window.give_password(person)
    changes = window.path() == "/sign-in/password"
    if changes:
        old = person.password
        window.go("/now")
        elsewhere = window.path() == "/sign-in"
        window.go("/sign-in/password")
        window.change_password(person, "short")
        refused = window.path() == "/sign-in/password"
        person.password = old
        window.change_password(person, "tea cups for every bridge")
        changed = window.query("changed") == "1"
        window.give_password(person, old)
        check(
            f"{who}: one-time password must be changed",
            unless(elsewhere, "a page was seen with it")
            or unless(refused, "a short one was taken")
            or unless(changed, "it was not changed")
            or unless(window.alert(), "the old one counts still"),
        )
        window.give_password(person)
    person.key = window.page.inner_text("#key")
    window.give_code(AT_ONCE_CODE)
    check(f"{who}: wrong code enrols nobody", unless(window.alert(), "it was taken"))
    window.give_code(person.code())
    person.recovery = window.page.locator(".codes code").all_inner_texts()
    check(f"{who}: recovery codes are shown", unless(len(set(person.recovery)) >= 8, "too few"))
    window.page.click("a.main")
    check(f"{who}: enrolment leads to the page", unless(window.path() == "/now", window.page.url))
    check(f"{who}: cookie attributes", steps.wrong())
    tokens = steps.tokens()
    alive = [is_signed_in(told, token) for token in tokens]
    is_last = [False] * (len(tokens) - 1) + [True]
    rotates = len(set(tokens)) == len(tokens) >= 2 and alive == is_last
    check(f"{who}: each step has a token of its own", unless(rotates, f"signed in with {alive}"))


def leave(told, window, who):
    """What is left of a sign-in that has ended: nothing."""
    token = window.cookie()
    window.sign_out()
    ended = window.path() == "/sign-in" and not is_signed_in(told, token)
    window.page.go_back()
    back = window.path()
    window.go("/accounts")
    check(
        f"{who}: sign-out ends the session",
        unless(ended and back == window.path() == "/sign-in", f"back shows {back}"),
    )


def again(window, person, who):
    """The second time: a code, a used code, recovery codes."""
    window.go("/now")
    window.give_password(person)
    window.give_code(AT_ONCE_CODE)
    check(f"{who}: wrong code is refused", unless(window.alert(), "it was taken"))
    code = person.code()
    window.give_code(code)
    entered = window.path() == "/now"
    window.sign_out()
    window.go("/now")
    window.give_password(person)
    window.give_code(code)
    refused = window.path() == "/sign-in/code" and window.alert()
    check(f"{who}: code is taken once", unless(entered and refused, f"{entered}, {refused}"))

    recovery = person.recovery[0]
    window.give_code(recovery)
    left = window.query("left")
    entered = window.path() == "/me" and left == str(len(person.recovery) - 1)
    window.sign_out()
    window.go("/now")
    window.give_password(person)
    window.give_code(recovery)
    refused = window.path() == "/sign-in/code" and window.alert()
    check(f"{who}: recovery code is taken once", unless(entered and refused, f"{left} left"))


def store(window, person):
    window.go("/now")
    window.give_password(person, "something else entirely")
    wrong = window.alert()
    window.give_password(person)
    right = window.alert()
    check(
        "store: no page, and no hint that the password is right",
        unless(wrong and wrong == right and not window.cookie(), f"{wrong!r} and {right!r}"),
    )


def main():
    it = told()
    people = {name: Person(account) for name, account in it["people"].items()}
    with chromium() as browser:
        for who in ["operator", "administrator"]:
            window = Window(browser, it["console"])
            window.expects_refusals = True
            first_time(it, window, people[who], who)
            leave(it, window, who)
            again(window, people[who], who)
            check(f"{who}: nothing was refused by the browser", window.seen)
            window.close()
        window = Window(browser, it["console"])
        window.expects_refusals = True
        store(window, people["store"])


if __name__ == "__main__":
    main()
